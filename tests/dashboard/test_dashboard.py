"""The dashboard's function: the files that it serves, their headers, and the requests that it refuses."""

import base64
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from local.deployment.template import PATH, load
from tests.support.fixtures import load_function

STATIC = Path("functions/dashboard/static")
SCRIPTS = sorted(STATIC.rglob("*.js"))
dashboard = load_function("dashboard")
CONTEXT = SimpleNamespace()
TEMPLATE = load(PATH)["Resources"]["DashboardFunction"]

# The compressed size of the first visit.
MOST_BYTES = 52_000


def get(route="/", *, path=None, **headers):
    event = {"routeKey": f"GET {route}", "headers": {name.replace("_", "-"): of for name, of in headers.items()}}
    return dashboard.handler(event | ({"pathParameters": {"path": path}} if path else {}), CONTEXT)


def asset(name, **headers):
    return get("/assets/{path+}", path=f"{dashboard.version()}/{name}", **headers)


def policy(answer):
    return dict(directive.split(" ", 1) for directive in answer["headers"]["content-security-policy"].split("; "))


@pytest.mark.parametrize(("route", "root"), [("/", "./"), ("/team", "./"), ("/runs/{run_id}", "../")])
def test_a_page_finds_its_assets_wherever_the_stack_lies(route, root):
    answer = get(route)
    assert answer["statusCode"] == 200
    assert answer["headers"]["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:href|src)="([^"]+)"', answer["body"])
    assert addresses
    for address in addresses:
        assert address.startswith(f"{root}assets/"), address
        assert get("/assets/{path+}", path=address.removeprefix(f"{root}assets/"))["statusCode"] == 200


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/jobs", "", "./jobs/"),
        ("/internal/jobs", "team=1&x=%20", "./jobs/?team=1&x=%20"),
        ("//evil.example", "", "./evil.example/"),
        ('/"><script>', "", "./%22%3E%3Cscript%3E/"),
    ],
)
def test_a_base_path_without_its_slash_leads_to_the_page_below_it(path, query, location):
    event = {"routeKey": "GET /", "rawPath": path, "rawQueryString": query, "headers": {}}
    answer = dashboard.handler(event, CONTEXT)
    assert (answer["statusCode"], answer["headers"]["location"]) == (308, location)
    assert dashboard.handler(event | {"rawPath": f"{path}/"}, CONTEXT)["statusCode"] == 200


def test_every_module_is_served_and_imports_what_is_served():
    for script in SCRIPTS:
        answer = asset(script.relative_to(STATIC).as_posix())
        assert answer["headers"]["content-type"] == "text/javascript; charset=utf-8"
        for imported in re.findall(r'from "([^"]+)"', answer["body"]):
            target = (script.parent / imported).resolve().relative_to(STATIC.resolve())
            assert target.as_posix() in dashboard.assets(), f"{script.name} imports {imported}"


def test_an_address_with_the_version_is_kept_for_ever_and_a_page_never_unasked():
    assert asset("app.js")["headers"]["cache-control"] == "public, max-age=31536000, immutable"
    assert get("/")["headers"]["cache-control"] == "no-cache"


def test_a_page_of_another_release_gets_todays_files_and_does_not_keep_them():
    answer = get("/assets/{path+}", path="0123456789abcdef/app.js")
    assert answer["statusCode"] == 200
    assert answer["headers"]["cache-control"] == "no-store"


@pytest.mark.parametrize("known", ["{etag}", '"x", {etag}', "*", "{strong}"])
def test_who_has_it_already_gets_304_without_a_body(known):
    etag = get("/")["headers"]["etag"]
    answer = get("/", if_none_match=known.format(etag=etag, strong=etag.removeprefix("W/")))
    assert answer["statusCode"] == 304
    assert "body" not in answer
    assert answer["headers"]["etag"] == etag
    assert answer["headers"]["vary"] == "accept-encoding"


def test_who_has_another_gets_the_whole():
    assert get("/", if_none_match='W/"0123456789abcdef"')["statusCode"] == 200
    assert get("/")["headers"]["etag"] != get("/runs/{run_id}")["headers"]["etag"]


def test_compressed_for_whoever_takes_it():
    plain, packed = asset("style.css"), asset("style.css", accept_encoding="gzip, br")
    assert packed["headers"]["content-encoding"] == "gzip"
    assert packed["isBase64Encoded"]
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain["body"]
    assert "content-encoding" not in plain["headers"]
    assert plain["headers"]["vary"] == packed["headers"]["vary"] == "accept-encoding"


def test_header_names_come_in_any_case():
    assert get("/", **{"Accept-Encoding": "gzip"})["headers"]["content-encoding"] == "gzip"


@pytest.mark.parametrize("accepted", ["gzip;q=0", "br, GZIP; q=0.00, deflate", "xgzip", "identity"])
def test_clients_that_refuse_gzip_get_plain_text(accepted):
    assert "content-encoding" not in get("/", accept_encoding=accepted)["headers"]


@pytest.mark.parametrize("accepted", ["gzip;q=0.5", "br, GZIP; q=1.0, deflate", "deflate,gzip"])
def test_clients_that_weigh_gzip_get_it(accepted):
    assert get("/", accept_encoding=accepted)["headers"]["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "index.html",
        "vendor/htm-preact.txt",
        "../app.py",
        "vendor/../../app.py",
        "..%2Fapp.py",
        "",
        "//app.js",
    ],
)
def test_nothing_else_is_served(path):
    answer = asset(path)
    assert answer["statusCode"] == 404
    assert answer["headers"]["cache-control"] == "no-store"
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert "import" not in answer["body"]
    assert "content-security-policy" in answer["headers"]


def test_a_path_without_a_version_is_not_found():
    assert get("/assets/{path+}", path="app.js")["statusCode"] == 404


@pytest.mark.parametrize("answer", [get("/"), asset("app.js"), asset("none"), get("/", if_none_match="*")])
def test_every_answer_says_what_a_browser_must_not_do(answer):
    directives = policy(answer)
    assert directives["default-src"] == "'none'"
    for name in ("script-src", "style-src", "connect-src", "img-src"):
        assert directives[name] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert directives[name] == "'none'"
    assert "unsafe" not in answer["headers"]["content-security-policy"]
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert answer["headers"]["referrer-policy"] == "no-referrer"
    assert answer["headers"]["cross-origin-opener-policy"] == "same-origin"
    assert "geolocation=()" in answer["headers"]["permissions-policy"]


def test_https_is_kept_to_where_it_came_by_https():
    assert "strict-transport-security" not in get("/")["headers"]
    assert "max-age=" in get("/", x_forwarded_proto="https")["headers"]["strict-transport-security"]


def test_there_is_no_script_or_style_outside_of_a_file():
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_nothing_names_another_host():
    for path in STATIC.rglob("*"):
        if path.suffix in dashboard.TYPES:
            addresses = set(re.findall(r"https?://[\w.-]+", path.read_text()))
            assert addresses <= {"http://www.w3.org"}, path  # the namespace of SVG


def test_what_is_vendored_is_what_is_written_down():
    note = (STATIC / "vendor" / "htm-preact.txt").read_text()
    [digest] = re.findall(r"^sha256 ([0-9a-f]{64})$", note, re.MULTILINE)
    content = (STATIC / "vendor" / "htm-preact.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert not re.search(rb"\beval\(|new Function", content)


def loaded_with(name):
    """Return the script and those that it imports, without those that it loads later."""
    found, waiting = set(), [STATIC / name]
    while waiting:
        script = waiting.pop().resolve()
        if script not in found:
            found.add(script)
            waiting += [script.parent / each for each in re.findall(r'from "([^"]+)"', script.read_text())]
    return {script.relative_to(STATIC.resolve()).as_posix() for script in found}


def test_the_first_visit_is_small():
    named = {"boot.js", "style.css", "icon.svg"} | loaded_with("app.js")
    assert "teampage.js" not in named
    assert {"overview.js", "vendor/htm-preact.js"} < named
    files = [dashboard.page("./"), *(dashboard.assets()[name] for name in named)]
    assert sum(len(file.compressed) for file in files) < MOST_BYTES


def test_it_may_call_nothing_and_knows_nothing():
    """It has no role policy, variables, network or layers of the other functions."""
    assert "Policies" not in TEMPLATE["Properties"]
    for shared in ("VpcConfig", "Layers", "Environment"):
        assert shared in TEMPLATE["IgnoreGlobals"]
        assert shared not in TEMPLATE["Properties"]


def test_its_cold_start_imports_nothing_of_ours():
    code = "import sys, json, app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, 'functions/dashboard'); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not modules & {"nightshift", "boto3", "botocore", "aws_lambda_powertools", "pydantic", "http", "urllib3"}


def test_comments_are_not_served_and_lines_keep_their_numbers():
    for name in ("html.js", "exact.js", "style.css"):
        source, served = (STATIC / name).read_text().split("\n"), asset(name)["body"].split("\n")
        assert len(source) == len(served)
        kept = [(line, of) for line, of in zip(source, served, strict=True) if of]
        assert all(line == of for line, of in kept)
        left_out = [line.strip() for line, of in zip(source, served, strict=True) if line.strip() and not of]
        assert left_out
        assert all(line.startswith(("//", "/*", "*")) or line.endswith("*/") for line in left_out)
    assert asset("vendor/htm-preact.js")["body"] == (STATIC / "vendor" / "htm-preact.js").read_text()


def test_each_name_that_a_module_imports_is_exported_and_used():
    texts = {path.name: path.read_text() for path in STATIC.glob("*.js")}
    exports = {
        name: set(re.findall(r"export (?:async )?(?:function\*?|const|let|class) (\w+)", text))
        | {
            each.split(" as ")[-1].strip()
            for names in re.findall(r"export \{([^}]*)\}", text)
            for each in names.split(",")
        }
        for name, text in texts.items()
    }
    imports = [
        (name, source, *(part.strip() for part in (each.split(" as ") * 2)[:2]))
        for name, text in texts.items()
        for names, source in re.findall(r'import \{([^}]*)\} from "\./([\w.-]+)"', text)
        for each in names.split(",")
        if each.strip()
    ]
    assert len(imports) > 100
    assert [each for each in imports if each[2] not in exports[each[1]]] == []
    assert [each for each in imports if len(re.findall(rf"\b{each[3]}\b", texts[each[0]])) < 2] == []
