"""Read template.yaml for its tests, and evaluate its conditions and rules as CloudFormation does."""

import re

import boto3

from local.deployment.template import PATH, load, translate
from nightshift.jobs.registry import JOB_TYPES

TEMPLATE = load(PATH)


FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in TEMPLATE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}


# Actions without resource-level permissions; each only reads.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsimpleemailservicev2.html
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
WITHOUT_RESOURCE = {"ses:GetAccount", "lambda:GetAccountSettings"}


def default(parameter):
    return TEMPLATE["Parameters"][parameter]["Default"]


SMALLEST = "db.t4g.micro"


def concurrencies(name):
    """Return the parameters of how many functions and requests may be at work, for a database of this class."""
    usual = {parameter: default(parameter) for parameter in (*CONCURRENCY.values(), "ApiConcurrency")}
    return usual | ({"WorkerConcurrency": 4, "ApiConcurrency": 12} if name == SMALLEST else {})


# How many of these functions work at the same time, and so how many connections they have.
CONCURRENCY = {
    "WorkerFunction": "WorkerConcurrency",
    "NotifyFunction": "MailConcurrency",
    "AnnounceFunction": "EventConcurrency",
    "DeliverFunction": "AlertConcurrency",
}


MEMORY_GIB = {
    "db.t4g.micro": 1, "db.t4g.small": 2, "db.t4g.medium": 4, "db.t4g.large": 8, "db.m8g.large": 8,
    "db.m8g.xlarge": 16, "db.r8g.large": 16,
}  # fmt: skip


def translated_with_code(key):
    template = load(PATH)
    session = boto3.Session(region_name="us-east-1")
    return translate(template, package=lambda name, folder: {"Bucket": "b", "Key": key}, session=session)["Resources"]


SYSTEM_JOBS = {job_type.name: job_type for job_type in JOB_TYPES.values() if job_type.schedule}


def word_of(job):
    return "".join(part.capitalize() for part in job.split("_"))


def expression(job):
    return TEMPLATE["Resources"][f"{word_of(job)}Rule"]["Properties"]["ScheduleExpression"]


TOPIC = {"Fn::If": ["MakeAlarmTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}


def evaluated(node, parameters):
    """Evaluate a condition or a text of CloudFormation with these values of the template's parameters."""
    if not isinstance(node, dict):
        return node
    [(function, of)] = node.items()
    match function:
        case "Ref":
            return ({"AWS::Region": "us-east-1"} | parameters)[of]
        case "Fn::Not":
            return not evaluated(of[0], parameters)
        case "Fn::And":
            return all(evaluated(each, parameters) for each in of)
        case "Fn::Or":
            return any(evaluated(each, parameters) for each in of)
        case "Condition":
            return evaluated(TEMPLATE["Conditions"][of], parameters)
        case "Fn::If":
            condition, met, otherwise = of
            return evaluated(met if evaluated({"Condition": condition}, parameters) else otherwise, parameters)
        case "Fn::GetAtt":
            return parameters[".".join(of)]
        case "Fn::Equals":
            left, right = (evaluated(side, parameters) for side in of)
            return left == right
        case "Fn::Contains":
            return str(evaluated(of[1], parameters)) in of[0]
        case "Fn::Select":
            return evaluated(of[1], parameters)[of[0]]
        case "Fn::Split":
            delimiter, text = of
            return evaluated(text, parameters).split(delimiter)
        case "Fn::Sub":
            text, values = (of, {}) if isinstance(of, str) else of
            known = parameters | {name: evaluated(value, parameters) for name, value in values.items()}
            return re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], text)
    raise AssertionError(function)


def refusals(given, *, region="us-east-1"):
    """Return the values of all parameters, some of them ``given``, and the sentences with which rules refuse them."""
    parameters = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()} | given
    known = parameters | {"AWS::Region": region}
    return parameters, [
        assertion["AssertDescription"]
        for rule in TEMPLATE["Rules"].values()
        if evaluated(rule["RuleCondition"], known)
        for assertion in rule["Assertions"]
        if not evaluated(assertion["Assert"], known)
    ]
