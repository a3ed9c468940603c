"""A browser and a terminal that sign in through the API's handler, and the mails with their codes."""

import json
import re

from tests.support.api_world import Api, assert_documented
from tests.support.fixtures import CONTEXT, load_function

ORIGIN = "https://jobs.owls.example"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36"
CODE = re.compile(r"^(\d{4} \d{4}): sign-in code$", re.MULTILINE)


class Browser:
    """A browser with the dashboard's page. ``cookie`` is the session's, as the browser keeps it."""

    def __init__(self, *, source="203.0.113.7"):
        self.source, self.cookie = source, None

    def send(self, method, path, body=None, *, headers=(), **fields):
        """Send what the page sends; ``headers`` add to it, and None takes one out. Return the whole answer."""
        usual = {"x-nightshift": "1", "sec-fetch-site": "same-origin", "user-agent": CHROME}
        usual |= {} if method == "GET" else {"origin": ORIGIN}
        sent = {name: value for name, value in (usual | dict(headers)).items() if value is not None}
        text = None if body is None else json.dumps(body)
        cookies = [self.cookie] if self.cookie else []
        answer = Api().send(method, path, text, headers=sent, source=self.source, cookies=cookies, **fields)
        assert_documented(method, path, answer["statusCode"], json.loads(answer["body"]))
        for cookie in answer.get("cookies", ()):
            assert cookie.split("; ", 1)[1] in (
                "Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict",
                "Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
            )
            self.cookie = None if "Max-Age=0" in cookie else cookie.partition(";")[0]
        return answer

    def __call__(self, method, path, body=None, **more):
        answer = self.send(method, path, body, **more)
        return answer["statusCode"], json.loads(answer["body"])

    def ask(self, email, **more):
        status, answer = self("POST", "/v1/auth/codes", {"email": email} | more)
        assert status == 202, answer
        return answer["sign_in"]

    def enter(self, sign_in, code):
        return self("POST", "/v1/auth/sessions", {"sign_in": sign_in, "code": code})

    def code(self, email, ses):
        """Ask for a code, and return what to enter it with, and the code."""
        sign_in = self.ask(email)
        deliver()
        return sign_in, code_in(ses)

    def sign_in(self, email, ses):
        return self.enter(*self.code(email, ses))


class Terminal(Browser):
    """The command line: it sends no Origin, and gets a bearer token."""

    def send(self, method, path, body=None, *, headers=(), **fields):
        without = dict.fromkeys(("x-nightshift", "sec-fetch-site", "origin"))
        return super().send(
            method, path, body, headers=without | {"user-agent": "nightshift/1.0"} | dict(headers), **fields
        )


def asked_for(queue_url):
    """Take the messages of the queue of mails and return the ids of their sign-ins."""
    from nightshift.aws.clients import client

    taken = []
    while messages := client("sqs").receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            client("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            taken.append(json.loads(message["Body"])["sign_in_id"])
    return taken


def deliver(*sign_in_ids):
    """Call the notify function with the messages of these sign-ins, or with those that wait in its queue."""
    from nightshift.base.settings import settings

    for sign_in_id in sign_in_ids or asked_for(settings().notify_queue_url):
        record = {"messageId": "1", "body": json.dumps({"sign_in_id": sign_in_id})}
        load_function("notify").handler({"Records": [record]}, CONTEXT)


def code_in(ses):
    """Return the code in the last mail."""
    return CODE.search(text_of(ses.mails[-1]))[1].replace(" ", "")


def text_of(mail):
    return mail["Content"]["Simple"]["Body"]["Text"]["Data"]
