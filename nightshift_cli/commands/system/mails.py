"""nightshift system mail-stops: addresses that get no mail, because one bounced or was called spam."""

import click

from nightshift_cli.base.text import clean
from nightshift_cli.session import Session, operator_options
from nightshift_cli.show.times import minute

REASONS = {"bounce": "bounced", "complaint": "spam report"}


@click.command("mail-stops")
@click.option("--lift", metavar="ADDRESS", help="Let mails go to this address again.")
@operator_options
@click.pass_obj
def mail_stops(session: Session, lift: str | None) -> None:
    """List the addresses that get no mail, or lift the stop of one.

    Nightshift stops mails to an address when one bounces for good or its reader reports it as spam. Amazon SES keeps a
    list of its own: `aws sesv2 delete-suppressed-destination --email-address ADDRESS`.

    \b
    Examples:
      nightshift system mail-stops
      nightshift system mail-stops --lift ada@example.com
    """
    if lift is not None:
        answer = session.stack.operate("lift_mail_stop", address=lift)
        lines = [f"Mails go to {clean(answer['lifted']['address'])} again."]
    else:
        answer = session.stack.operate("mail_stops")
        lines = [
            f"{minute(stop['stopped_at'])}  {REASONS.get(stop['reason'], clean(stop['reason']))}  "
            f"{clean(stop['address'])}  {clean(stop['detail'] or '')}".rstrip()
            for stop in answer["stops"]
        ] or ["No address is stopped."]
    if session.output.as_json:
        session.output.document(answer)
        return
    for line in lines:
        session.output.say(line)
