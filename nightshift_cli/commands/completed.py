"""Types of arguments that the shell completes with what the API has. While a person types, no failure is told."""

import contextlib
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from nightshift_cli.base.failures import Failure
from nightshift_cli.base.text import clean
from nightshift_cli.session import Session
from nightshift_cli.values import Name, RunId

# Longer lists are cut: people would not read them.
MOST = 50


class ProjectName(Name):
    """The id or slug of a project of the caller's team."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        def offer(session: Session) -> Iterable[tuple[str, str]]:
            found = session.api.some_projects(session.team_id, search=incomplete)
            return ((clean(each.get("slug")), clean(each.get("name"))) for each in found)

        return _offered(ctx, incomplete, offer)


class OwnRunId(RunId):
    """The id of a run of the caller's team. Without its beginning, the newest runs are offered."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        def offer(session: Session) -> Iterable[tuple[str, str]]:
            runs = session.api.newest_runs(session.team_id, limit=MOST)
            return (
                (clean(each.get("id")), f"{clean(each.get('job_type'))} {clean(each.get('status'))}") for each in runs
            )

        return _offered(ctx, incomplete, offer)


def _offered(
    context: click.Context, beginning: str, offer: Callable[[Session], Iterable[tuple[str, str]]]
) -> list[CompletionItem]:
    """Return what ``offer`` finds with this beginning: pairs of a value and its description."""
    session = context.ensure_object(Session)
    with context.scope(), contextlib.suppress(Failure):
        found = list(offer(session))[:MOST]
        return [CompletionItem(value, help=about) for value, about in found if value.startswith(beginning)]
    return []
