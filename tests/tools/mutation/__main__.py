"""Change the service's SQL or Python a little, many times, and see that a test notices.

python -m tests.tools.mutation sql [FILTER …]
python -m tests.tools.mutation python [FILTER …]

All mutants, or those whose file or statement (`003`, `JUDGE_CODE`), or whose module (`beefirst.registration.*`), a
filter names; `--sample N --seed S` takes N of them by lot. Ends with status 1 where under 90 % are killed.
"""

import argparse
import os
import random
import sys

from beefirst.machine.folders import CHECKOUT
from tests.support.databases import migrated_database
from tests.tools.mutation import sql_run
from tests.tools.mutation.checkout_copy import checkout_copy
from tests.tools.mutation.report import Report
from tests.tools.mutation.sql_mutants import SqlMutant, find_mutants


def main() -> int:
    """Run the mutants and return the status to end with."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["sql"])
    parser.add_argument("filters", nargs="*")
    parser.add_argument("--sample", type=int, help="how many mutants to take by lot")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    mutants = _all_sql(chosen.filters)
    if chosen.sample and chosen.sample < len(mutants):
        mutants = sorted(random.Random(chosen.seed).sample(mutants, chosen.sample), key=mutants.index)
    return run_sql(mutants)


def _all_sql(filters: list[str]) -> list[SqlMutant]:
    paths = [*sorted((CHECKOUT / "migrations").glob("*.sql")), CHECKOUT / "beefirst" / "database" / "statements.py"]
    mutants = [
        mutant for path in paths for mutant in find_mutants(str(path.relative_to(CHECKOUT)), path.read_text("utf-8"))
    ]
    return [mutant for mutant in mutants if not filters or any(part in mutant.name for part in filters)]


def run_sql(mutants: list[SqlMutant]) -> int:
    """Run SQL's mutants, after the tests have passed without one."""
    with checkout_copy() as (copy, environment):
        os.environ.update(environment)
        sql_run.warm_up()
        with migrated_database() as database, database.connect() as connection:
            workshop = sql_run.Workshop(copy, connection)
            if (outcome := workshop.run("")) != "survived":
                print(f"The tests do not pass without a mutant: {outcome}.")
                return 1
            report = Report(len(mutants))
            for mutant in mutants:
                report.add(mutant.name, workshop.judge(mutant), mutant.diff())
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
