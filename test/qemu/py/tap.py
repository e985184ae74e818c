# SPDX-License-Identifier: MIT
"""Reads the Test Anything Protocol, distrustfully.

A program passes when it says `ok` as often as its plan says, in order, and exits 0. The hard part is what is not
there: output that stops early, no plan, a plan twice, a status that contradicts the lines.
"""

import re

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
_LINE = re.compile(r"^(not )?ok\b(?:\s+(\d+))?\s*(?:-\s*)?([^#]*?)\s*(?:#\s*(.*))?$")
_PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*(.*))?$")


def judge(name, lines, status):
    """Results of one program: a list of (verdict, test's name, why). `status` is None if it did not come to its end."""
    results, plan, problems, skip_all = [], None, [], None
    for line in lines:
        line = line.rstrip("\r")
        test, new_plan = _LINE.match(line), _PLAN.match(line)
        if new_plan:
            if plan is not None:
                problems.append("two plans")
            plan = int(new_plan[1])
            if plan == 0:
                skip_all = new_plan[2] or "no reason given"
        elif test:
            bad, number, title, why = test.groups()
            title = title or f"test {number or len(results) + 1}"
            if number and int(number) != len(results) + 1:
                problems.append(f"test {number} where {len(results) + 1} was expected")
            if bad:
                results.append((FAILED, title, why or ""))
            elif why and why.upper().startswith("SKIP"):
                results.append((SKIPPED, title, why))
            else:
                results.append((PASSED, title, ""))
        elif line.startswith("Bail out!"):
            problems.append(line)

    if plan is None:
        problems.append("no plan" if results else "no TAP output")
    elif plan != len(results):
        problems.append(f"{len(results)} of {plan} tests reported")
    if skip_all and not results and status in (0, 77):
        return [(SKIPPED, name, skip_all)]
    if status is None:
        problems.append("did not come to its end")
    elif status and FAILED not in [r[0] for r in results]:
        problems.append(f"exit status {status}")
    if problems:
        results.append((FAILED, f"{name}: complete", "; ".join(problems)))
    return results
