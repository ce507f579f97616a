"""The service as other people's programs see it: OpenAI's client, and schemathesis.

    python serve_clients.py URL PICTURE

Checks that the official `openai` package works unchanged (caption, several choices, streaming, log
probabilities, models, errors), then lets schemathesis make requests from /openapi.json: no answer may
be 5xx, and every answer must be as described (all of its checks but one: whatever fits the description
should be accepted, and bytes that are no picture fit it). Needs `pip install openai schemathesis`; says which is
missing and leaves that part out. Exit code 1 if anything failed.
"""
import base64
import importlib.util
import subprocess
import sys
import tempfile


def openai_client(url, picture):
    import openai

    client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
    uri = "data:image/jpeg;base64," + base64.b64encode(open(picture, "rb").read()).decode()
    message = [{"role": "user", "content": [
        {"type": "text", "text": "Describe this picture."},
        {"type": "image_url", "image_url": {"url": uri}},
    ]}]
    name = client.models.list().data[0].id
    assert client.models.retrieve(name).id == name
    answer = client.chat.completions.create(model=name, messages=message, max_tokens=100)
    caption = answer.choices[0].message.content
    assert caption and answer.choices[0].finish_reason == "stop", answer
    several = client.chat.completions.create(model=name, messages=message, n=3, logprobs=True)
    assert len(several.choices) == 3
    tokens = several.choices[0].logprobs.content
    assert "".join(t.token for t in tokens) == several.choices[0].message.content
    pieces = client.chat.completions.create(
        model=name, messages=message, stream=True, stream_options={"include_usage": True})
    streamed, usage = "", None
    for piece in pieces:
        usage = piece.usage or usage
        streamed += "".join(c.delta.content or "" for c in piece.choices)
    assert streamed == caption and usage.completion_tokens > 0, (streamed, caption)
    drawn = [client.chat.completions.create(model=name, messages=message, temperature=1, seed=7)
             .choices[0].message.content for _ in range(2)]
    assert drawn[0] == drawn[1], "the same seed"
    for wrong in ([{"role": "user", "content": "no picture"}], []):
        try:
            client.chat.completions.create(model=name, messages=wrong)
        except openai.BadRequestError as error:
            assert "image_url" in str(error), error
        else:
            raise AssertionError("no error")
    print(f"openai {openai.__version__}: caption `{caption}`, choices, log probabilities, stream, models, errors")


def schemathesis(url):
    command = [sys.executable, "-m", "schemathesis.cli", "run", url + "/openapi.json", "--url", url,
               "--checks", "all", "--exclude-checks", "positive_data_acceptance",
               "--max-examples", "60", "--seed", "1", "--phases", "examples,coverage,fuzzing"]
    # It leaves notes where it runs.
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder).returncode == 0


def main():
    url, picture = sys.argv[1].rstrip("/"), sys.argv[2]
    good = True
    if importlib.util.find_spec("openai"):
        openai_client(url, picture)
    else:
        print("skipped: the package openai is not installed")
    if importlib.util.find_spec("schemathesis"):
        good = schemathesis(url)
    else:
        print("skipped: the package schemathesis is not installed")
    sys.exit(0 if good else 1)


main()
