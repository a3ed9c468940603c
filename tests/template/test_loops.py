"""The loops of template.yaml are expanded as AWS and local AWS do it, and what AWS would not do is refused."""

import json
import subprocess

import pytest
from samtranslator.yaml_helper import yaml_parse

from local.aws import PYTHON
from local.deployment.loops import BadLoop, expanded
from local.deployment.template import PATH, load

# local AWS follows what was measured on AWS. Without values, it leaves the parameters to the stack, as we do.
THEIRS = """
import json, sys
from ministack.services.cloudformation import language_extensions
json.dump(language_extensions.apply(json.load(sys.stdin), {}), sys.stdout)
"""


def resources(**section):
    return {"Resources": section}


def loop(body, words=("A", "B")):
    return resources(**{"Fn::ForEach::Loop": ["Word", list(words), body]})


def test_the_template_means_the_same_to_local_aws():
    written = yaml_parse(PATH.read_text())
    theirs = subprocess.run([PYTHON, "-c", THEIRS], input=json.dumps(written), capture_output=True, text=True)
    assert theirs.returncode == 0, theirs.stderr
    # They leave a !Sub whose values are all known to the stack; ours writes its text.
    assert expanded(json.loads(theirs.stdout)) == expanded(written)


def test_no_loop_is_left_for_sams_translator():
    template = load(PATH)
    assert "Fn::ForEach" not in json.dumps(template)
    assert template["Transform"] == "AWS::Serverless-2016-10-31"
    # AWS expands the loops before SAM reads the template.
    assert yaml_parse(PATH.read_text())["Transform"] == ["AWS::LanguageExtensions", template["Transform"]]


def test_a_word_is_filled_in_where_aws_does_it():
    body = {
        "Queue${Word}": {"Dead": {"Fn::GetAtt": [{"Fn::Sub": "Dead${Word}"}, "Arn"]}, "Word": {"Ref": "Word"}},
        "Rule${Word}": {"Says": {"Fn::Sub": "${Word} of ${AWS::StackName}"}, "Kept": {"Ref": "Other"}},
    }
    assert expanded(loop(body, words=["A"]))["Resources"] == {
        "QueueA": {"Dead": {"Fn::GetAtt": ["DeadA", "Arn"]}, "Word": "A"},
        "RuleA": {"Says": {"Fn::Sub": "A of ${AWS::StackName}"}, "Kept": {"Ref": "Other"}},
    }
    assert list(expanded(loop({"${Word}Queue": {}}))["Resources"]) == ["AQueue", "BQueue"]


def test_the_values_of_a_sub_become_part_of_its_text():
    values = {"Known": {"Ref": "Word"}, "Log": {"Ref": {"Fn::Sub": "${Word}Logs"}}, "Late": {"Fn::GetAtt": ["X", "Y"]}}
    body = {"${Word}": {"Fn::Sub": ["${Known}: ${Log}, ${Late}, ${!Literal}", values]}}
    assert expanded(loop(body, words=["A"]))["Resources"]["A"] == {
        "Fn::Sub": ["A: ${ALogs}, ${Late}, ${!Literal}", {"Late": {"Fn::GetAtt": ["X", "Y"]}}]
    }


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (resources(**{"Fn::ForEach::L": ["W", {"Ref": "Words"}, {}]}), r"Fn::ForEach::L must have .* a list of words"),
        (resources(**{"Fn::ForEach::L": ["W", ["A"]]}), "Fn::ForEach::L must have a variable"),
        (resources(**{"Fn::ForEach::L": ["W", [1], {}]}), "Fn::ForEach::L must have a variable"),
        (loop({"Fn::ForEach::Inner": ["Size", ["S"], {}]}), "Fn::ForEach::Loop must have .* no loop inside"),
        (loop({"Same": {}}), "Fn::ForEach::Loop makes Same, which exists already"),
        (resources(**loop({"${Word}": {}})["Resources"], A={}), "A, which exists already"),
        (loop({"${Word}": {"Condition": "When${Word}"}}), r"in 'When\$\{Word\}': write !Sub before it"),
        (loop({"${Word}": {"Fn::FindInMap": ["Map", {"Ref": "Word"}, "Column"]}}), "Mappings has no Map.A.Column"),
    ],
)
def test_what_aws_would_not_expand_is_refused_with_its_place(template, sentence):
    with pytest.raises(BadLoop, match=sentence):
        expanded(template)
