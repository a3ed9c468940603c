"""Each condition of the statements by which alerts write mails."""

import uuid

import pytest

from tests.guarded.world_at_noon import Changes, at, insert

DAY = 86_400
CONTENT = {"subject": "s", "lines": []}


def known(owner, team, address="a@x", **columns):
    insert(owner, "job_alert_addresses", **({"team_id": team.id, "address": address, "asked_at": at(-9)} | columns))


def member(owner, team, email, **columns):
    owner.run_script("DELETE FROM users WHERE email = 'person@x'")
    [[user_id]] = owner.run_script("INSERT INTO users (email) VALUES ('person@x') RETURNING id::text")
    insert(owner, "team_members", team_id=team.id, user_id=user_id, role="member")
    changed = {"email": email} | columns
    owner.run_script(
        f"UPDATE users SET {', '.join(f'{name} = {value!r}' for name, value in changed.items())} WHERE id = '{user_id}'"
    )


def ask(noon, team, addresses=("a@x",)):
    return noon.query("ask_addresses", team_id=team.id, addresses=list(addresses), content=CONTENT)[0]


class TestAskAddresses:
    @pytest.mark.parametrize(
        ("columns", "asked"),
        [
            ({"confirmed_at": at(-9), "asked_at": at(-DAY)}, (0, 0)),
            ({"asked_at": at(-DAY + 0.001)}, (0, 1)),
            ({"asked_at": at(-DAY)}, (1, 0)),
            ({"asked_at": at(-4 * DAY + 0.001), "asks": 3}, (0, 1)),
            ({"asked_at": at(-4 * DAY), "asks": 3}, (1, 0)),
            ({"asked_at": at(-4096 * DAY), "asks": 30}, (1, 0)),
        ],
    )
    def test_of_a_known_address(self, owner, noon, team, columns, asked):
        known(owner, team, **columns)
        answer = ask(noon, team)
        assert (answer["asked_count"], answer["left_count"]) == asked

    def test_all_teams_together_ask_an_address_three_times_a_day(self, owner, noon, team):
        def asked_by_others(*times):
            for asked_at in times:
                insert(owner, "job_alert_addresses", team_id=str(uuid.uuid4()), address="a@x", asked_at=asked_at)

        asked_by_others(at(-9), at(-DAY + 0.001), at(-DAY))
        insert(owner, "job_alert_addresses", team_id=str(uuid.uuid4()), address="b@x", asked_at=at(-9))
        assert ask(noon, team, ["a@x"])["asked_count"] == 1
        owner.run_script(f"DELETE FROM job_alert_addresses WHERE team_id = '{team.id}'")
        asked_by_others(at(-8))
        answer = ask(noon, team, ["a@x", "b@x"])
        assert (answer["asked_count"], answer["left_count"]) == (1, 1)

    def test_what_another_team_knows_does_not_matter(self, owner, noon, team, other):
        known(owner, other, confirmed_at=at(-9))
        assert ask(noon, team)["asked_count"] == 1

    @pytest.mark.parametrize(
        ("of", "email", "columns", "asked"),
        [
            ("team", " A@x ", {}, 0),
            ("team", "b@x", {}, 1),
            ("team", "a@x", {"deleted_at": at(-9)}, 1),
            ("other", "a@x", {}, 1),
        ],
    )
    def test_members_need_not_confirm(self, owner, noon, team, other, of, email, columns, asked):
        member(owner, {"team": team, "other": other}[of], email, **columns)
        assert ask(noon, team)["asked_count"] == asked

    def test_the_earlier_mail_ends_with_a_new_one(self, owner, noon, team):
        known(owner, team, asked_at=at(-2 * DAY), token_hash="\\x78")
        changes = Changes(owner, "job_alert_addresses", key="address")
        ask(noon, team)
        assert changes() == {"a@x": {"asked_at": at(0), "token_hash": None, "asks": 2}}
        [mail] = owner.run_script("SELECT content, recipient, team_id::text FROM job_outbox")
        assert mail == [CONTENT, "a@x", team.id]

    @pytest.mark.parametrize(
        ("columns", "waiting"),
        [
            ({"asked_at": at(-DAY + 0.001)}, 2),
            ({"asked_at": at(-DAY)}, 1),
            ({"asked_at": at(-9), "confirmed_at": at(-9)}, 1),
        ],
    )
    def test_those_that_wait_are_counted(self, owner, noon, team, other, columns, waiting):
        known(owner, team, "b@x", **columns)
        known(owner, other, "b@x")
        assert ask(noon, team)["waiting_count"] == waiting


class TestHandOverMails:
    @pytest.mark.parametrize(("recipients", "status"), [(["a@x", "b@x"], "sent"), ([], "failed")])
    def test_the_outbox_has_it_from_then_on(self, owner, noon, team, recipients, status):
        alert_id = "00000000-0000-4000-8000-000000000001"
        for id_ in (alert_id, "00000000-0000-4000-8000-000000000002"):
            insert(
                owner, "job_alert_deliveries", id=id_, alert_id=id_, team_id=team.id, kind="failed", about="x",
                data={}, status="unsent", send_at=at(0), expires_at=at(9), tries=3,
            )  # fmt: skip
        changes = Changes(owner, "job_alert_deliveries")
        answer = noon.query(
            "hand_over_mails", content=CONTENT, recipients=recipients, team_id=team.id, delivery_id=alert_id
        )
        assert answer == [{"status": status}]
        changed = changes()[alert_id]
        assert (changed["status"], changed["tries"], changed["send_at"], changed["ended_at"]) == (
            status,
            4,
            None,
            at(0),
        )
        assert ("error" in changed) is (status == "failed")
        assert list(changes()) == [alert_id]
        mails = owner.run_script("SELECT content, recipient, team_id::text FROM job_outbox ORDER BY recipient")
        assert mails == [[CONTENT, address, team.id] for address in recipients]
