"""The least service that claims addresses with the libraries that beefirst uses: what they cost by themselves.

python -m tests.tools.benchmark.barest_service PORT COST, with DATABASE_URL in its environment.

One route takes a claim, hashes on threads, runs the statement and answers. It has no limits, no rules for addresses and
passwords, no mail, no metrics, no request ids and no events in its log; it answers as soon as it can.
"""

import asyncio
import gc
import os
import secrets
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import bcrypt
import uvicorn
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from beefirst.database.pool import APPLICATION_NAME, PLANNING
from beefirst.database.registrations import MAILS_A_DAY
from beefirst.database.session import connection_parameters
from beefirst.database.statements import CLAIM_ADDRESS
from beefirst.laboratory.bcrypt_alone import be_as_nice_as_the_service
from beefirst.urls import DatabaseUrl

LIMITS = {"ttl_seconds": 3600, "mails_a_day": MAILS_A_DAY}


class Claim(BaseModel):
    """What is sent."""

    email: str
    password: str


def create_app(database_url: str, cost: int) -> FastAPI:
    """Return the service.

    Args:
        database_url: of a database that the migrations have made.
        cost: bcrypt's.
    """
    threads = ThreadPoolExecutor(len(os.sched_getaffinity(0)), initializer=be_as_nice_as_the_service)
    parameters = connection_parameters(DatabaseUrl(database_url), APPLICATION_NAME, **PLANNING)
    pool = AsyncConnectionPool(database_url, min_size=4, open=False, kwargs=parameters)

    @asynccontextmanager
    async def opened(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            await pool.wait()
            gc.freeze()
            yield

    app = FastAPI(lifespan=opened)

    @app.post("/v1/register", status_code=202)
    async def register(claim: Claim) -> dict[str, str]:
        """Claim an address."""
        hashing = asyncio.get_running_loop().run_in_executor(
            threads, lambda: bcrypt.hashpw(claim.password.encode(), bcrypt.gensalt(cost)).decode()
        )
        values = {"email": claim.email, "password_hash": await hashing, "code": f"{secrets.randbelow(10_000):04}"}
        connection = await pool.getconn()
        try:
            await (await connection.execute(CLAIM_ADDRESS, LIMITS | values)).fetchone()
        finally:
            await pool.putconn(connection)
        return {"message": "A code is on its way."}

    return app


if __name__ == "__main__":
    uvicorn.run(
        create_app(os.environ["DATABASE_URL"], int(sys.argv[2])),
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
