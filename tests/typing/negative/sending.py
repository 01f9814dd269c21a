"""Each marked line has to be an error under mypy (`M:` its code) and pyright (`P:` its rule)."""

from __future__ import annotations

from actorq import ActorSystem, Context

system = ActorSystem("typed")


@system.actor
async def send_email(user_id: int, subject: str = "hello") -> str:
    return f"{user_id}: {subject}"


@system.actor(queue="mail")
async def charge(ctx: Context, order: int) -> float:
    return float(order)


async def use() -> None:
    await send_email.send("42")  # M: arg-type  P: reportArgumentType
    await send_email.send()  # M: call-arg  P: reportCallIssue
    await send_email.send(1, subjekt="x")  # M: call-arg  P: reportCallIssue
    await send_email.ask(1, 2)  # M: arg-type  P: reportArgumentType
    await charge.ask("7")  # M: arg-type  P: reportArgumentType
    number: int = await send_email.ask(1)  # M: assignment  P: reportAssignmentType
    send_email.options(prioriti=3)  # M: call-arg  P: reportCallIssue
    send_email.options(task_id=3)  # M: arg-type  P: reportArgumentType
    print(number)


def use_blocking() -> None:
    with system.blocking() as client:
        client.ask(send_email, "x")  # M: call-overload  P: reportCallIssue
