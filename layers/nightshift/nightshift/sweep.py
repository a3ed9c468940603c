"""The healer, once a minute: runs whose message was lost, and runs whose worker was."""

from nightshift import queue
from nightshift.database import Database
from nightshift.log import logger
from nightshift.queue import Message
from nightshift.settings import Settings


def sweep(*, db: Database, settings: Settings) -> dict[str, int]:
    """Heal one bounded batch of each kind; returns the counts. Two at once share the work (SKIP LOCKED)."""
    expired = db.query(
        "expire_leases",
        again_if_gone=True,
        batch=settings.sweep_batch,
        lost_slices_limit=settings.lost_slices_limit,
        resend_delay_s=settings.resend_delay_s,
    )
    unclaimed = db.query(
        "resend_due",
        batch=settings.sweep_batch,
        resend_delay_s=settings.resend_delay_s,
        resend_ceiling_s=settings.resend_ceiling_s,
    )
    recovered = [row for row in expired if row["status"] == "running"]
    for row in expired:
        logger.warning(
            "Took a run from a worker that stopped answering",
            action="slice_expired",
            run_id=str(row["id"]),
            slice=row["slice"],
            job_type=row["job_type"],
            status=row["status"],
        )
    refused = queue.send_all(Message.of(row) for row in recovered + unclaimed)
    counts = {
        "recovered": len(recovered),
        "ended": len(expired) - len(recovered),
        "resent": len(unclaimed),
        "refused": refused,
    }
    if any(counts.values()):
        logger.info("Swept", action="swept", **counts)
    return counts
