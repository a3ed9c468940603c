"""``python -m local.revenuecat``: run the RevenueCat sandbox until SIGTERM or Ctrl-C."""

import argparse
import signal
import threading
from pathlib import Path

from local.revenuecat.sandbox import Sandbox
from local.revenuecat.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.revenuecat", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default 0: any free port)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--api-key", default="sk_sandbox")
    parser.add_argument("--project-id", default="proj1a2b3c4d")
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--customers", type=int, default=1000, metavar="N", help="user_000001 to user_N (default 1000)")
    who.add_argument("--customers-file", type=Path, metavar="FILE", help="file with one app user id per line")
    parser.add_argument("--budget", type=int, default=480, help="customer calls per minute (default 480)")
    parser.add_argument("--configuration-budget", type=int, default=60, help="project calls per minute (default 60)")
    parser.add_argument("--used-by-others", type=int, default=0, help="calls per minute used by other clients")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="delay added to each answer")
    args = parser.parse_args()

    sandbox = Sandbox(
        seed=args.seed,
        api_key=args.api_key,
        project_id=args.project_id,
        customer_ids=customer_ids(args.customers, args.customers_file),
        budget=args.budget,
        configuration_budget=args.configuration_budget,
        latency_s=args.latency_ms / 1000,
        used_by_others=args.used_by_others,
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with serve(sandbox, port=args.port) as url:
        print(f"RevenueCat sandbox on {url}", flush=True)
        ended.wait()


def customer_ids(count: int, file: Path | None) -> list[str]:
    if file is None:
        return [f"user_{n:06d}" for n in range(1, count + 1)]
    return [line for line in file.read_text().splitlines() if line]


if __name__ == "__main__":
    main()
