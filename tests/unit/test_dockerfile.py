"""The Dockerfile's syntax: what is accepted, and where a mistake is."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vcr.dockerfile.syntax import FLAGS, Dockerfile, Instruction, parse
from vcr.errors import UsageError


def stage(text: str) -> list[Instruction]:
    return list(parse("FROM scratch\n" + text).stages[0].instructions)


def only(text: str) -> Instruction:
    (instruction,) = stage(text)
    return instruction


def mistake(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        parse(text)
    return caught.value.what


def test_instructions_are_case_insensitive_and_stages_are_named() -> None:
    parsed = parse("from a as Build\nrun x\nFROM b\nCOPY --from=build /x /y\n")
    assert [(s.name, s.image, s.index) for s in parsed.stages] == [("build", "a", 0), ("", "b", 1)]
    assert parsed.stages[1].label == "1"


def test_continuations_skip_comments_and_empty_lines() -> None:
    instruction = only("ENV a=1 \\\n# a comment\n\n    b=2 \\\n  c=3\n")
    assert [word for _, word in instruction.words()] == ["a=1", "b=2", "c=3"]
    assert [str(at) for at, _ in instruction.words()] == [
        "Dockerfile:2:5",
        "Dockerfile:5:5",
        "Dockerfile:6:3",
    ]


def test_space_after_a_continuation_is_allowed_and_two_backslashes_are_text() -> None:
    assert only("RUN a \\  \n b\n").rest == "a  b"
    first, second = stage("ENV a=\\\\\nENV b=1\n")
    assert first.rest == "a=\\\\"
    assert second.rest == "b=1"


def test_the_escape_directive_changes_the_continuation() -> None:
    parsed = parse("# escape=`\nFROM scratch\nRUN a `\n b\\\n")
    assert parsed.escape == "`"
    assert parsed.stages[0].instructions[0].rest == "a  b\\"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# escape=x\nFROM a\n", "cannot be the escape character"),
        ("# escape=`\n# escape=`\nFROM a\n", "only one escape directive"),
    ],
)
def test_bad_directives(text: str, words: str) -> None:
    assert words in mistake(text)


def test_a_directive_after_a_comment_is_a_comment() -> None:
    assert parse("# hello\n# escape=`\nFROM a\n").escape == "\\"


def test_heredocs_take_the_lines_up_to_their_name() -> None:
    instruction = only("COPY <<one.txt <<-'two' /x/\na $b\none.txt\n\tc\n\ttwo\n")
    one, two = instruction.heredocs
    assert (one.name, one.content, one.expand) == ("one.txt", "a $b\n", True)
    assert (two.name, two.content, two.expand) == ("two", "c\n", False)


def test_a_heredoc_without_end_is_named_where_it_starts() -> None:
    text = mistake("FROM a\nRUN <<EOF\nx\n")
    assert text.startswith("Dockerfile:2:5: the here-document EOF has no end")


def test_shell_operators_are_not_heredocs_in_other_instructions() -> None:
    assert only("CMD cat <<EOF").heredocs == ()


def test_exec_form_is_json_and_anything_else_is_shell_form() -> None:
    assert only('CMD ["a", "b c"]').json == ("a", "b c")
    assert only("CMD [a, b]").json is None


@pytest.mark.parametrize("text", ['["a", 1]', '["a", ["b"]]', '["a", null]', "[1]"])
@pytest.mark.parametrize("keyword", ["CMD", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"])
def test_a_list_holds_strings_only(keyword: str, text: str) -> None:
    """It became a command for the shell without a word."""
    with pytest.raises(UsageError, match="has something that is not a string"):
        _ = only(f"{keyword} {text}").json


@pytest.mark.parametrize("text", ['["a b", "c"]', '"a b" c', "a\\ b c"])
def test_words_of_copy_end_at_spaces_but_in_a_list(text: str) -> None:
    words = [word for _, word in only(f"COPY {text}").operands()]
    assert words == (["a b", "c"] if text.startswith("[") else text.split(" "))


@pytest.mark.parametrize(
    ("line", "flags", "rest"),
    [
        ('COPY --from="first" a b', {"from": ("first",)}, "a b"),
        ("COPY --chown='a:b'  a b", {"chown": ("a:b",)}, "a b"),
        ('RUN --mount="type=tmpfs,target=/a b" c', {"mount": ("type=tmpfs,target=/a b",)}, "c"),
        (r"RUN --mount=target=/a\ b,'size=1\'' c", {"mount": ("target=/a b,size=1'",)}, "c"),
        ('HEALTHCHECK --interval="3"s CMD x', {"interval": ("3s",)}, "CMD x"),
        ('HEALTHCHECK --retries="" CMD x', {"retries": ("",)}, "CMD x"),
        ('RUN --network=none -- --x "y"', {"network": ("none",)}, '--x "y"'),
        ('RUN "--network=none" x', {}, '"--network=none" x'),
    ],
)  # fmt: skip
def test_flags_are_without_quotes(line: str, flags: dict[str, tuple[str, ...]], rest: str) -> None:
    (instruction,) = parse(f"FROM x\n{line}").stages[0].instructions
    assert (instruction.flags, instruction.rest) == (flags, rest)


def test_flags_are_read_up_to_the_first_word() -> None:
    instruction = only("COPY --from=x --chown=1:2 --exclude=*.a --exclude=*.b --link a b")
    assert instruction.flag("from") == "x"
    assert instruction.flags["exclude"] == ("*.a", "*.b")
    assert instruction.switch("link")
    assert instruction.rest == "a b"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("FORM x", "Dockerfile:1:1: unknown instruction 'FORM'"),
        ("RUN x", "Dockerfile:1:1: RUN comes before the first FROM"),
        ("", "Dockerfile:1:1: there is no FROM"),
        ("FROM a\nFROM", "Dockerfile:2:5: FROM needs an argument"),
        ("FROM a AS 1x", "Dockerfile:1:11: '1x' cannot be the name of a stage"),
        ("FROM a b c d", "Dockerfile:1:1: FROM takes an image"),
        ("FROM a\nCOPY --chmood=1 a b", "Dockerfile:2:6: COPY has no flag --chmood"),
        ("FROM a\nCOPY --chown a b", "Dockerfile:2:6: --chown needs a value"),
        ("FROM a\nCOPY --chown=1 --chown=2 a b", "Dockerfile:2:16: --chown is given twice"),
    ],
)
def test_mistakes_have_line_and_column(line: str, words: str) -> None:
    assert words in mistake(line + "\n")


def test_a_near_flag_and_keyword_are_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        parse("FROM a\nCOPY --chmood=1 a b\n")
    assert caught.value.fix == "did you mean --chmod?"


def test_windows_line_ends_and_a_byte_order_mark_are_read() -> None:
    parsed = parse("\ufeffFROM a\r\nRUN x \\\r\n y\r\n")
    assert parsed.stages[0].instructions[0].rest == "x  y"


# --- properties

WORDS = st.from_regex(r"[abcXYZ019/._][abcXYZ019/._-]{0,7}", fullmatch=True)
LINES = st.lists(
    st.one_of(
        st.builds(lambda w: f"RUN {w}", WORDS),
        st.builds(lambda k, v: f"ENV {k}={v}", st.text("abcXYZ", min_size=1), WORDS),
        st.builds(lambda a, b: f"COPY {a} {b}", WORDS, WORDS),
        st.builds(lambda a: f"CMD {json.dumps(a)}", st.lists(WORDS, min_size=1, max_size=3)),
        st.builds(lambda a: f"# {a}", WORDS),
        st.just(""),
    ),
    max_size=12,
)
FRAGMENTS = st.lists(
    st.one_of(
        st.sampled_from([*FLAGS, "from", "\n", "\\\n", "\\", "`", "<<EOF", "<<-'E'", "EOF\n", "#",
                         "# escape=`\n", "--from=", "--", "[", '"', "'", "${", "}", "$x", "=", ",",
                         " ", "\t", "\r\n", "\x00", "AS", "scratch", "]"]),
        st.text(max_size=4),
    ),
    max_size=40,
)  # fmt: skip


@given(LINES)
def test_generated_dockerfiles_are_read_back(lines: list[str]) -> None:
    parsed: Dockerfile = parse("\n".join(["FROM scratch", *lines]))
    got = [f"{i.keyword} {i.rest}" for i in parsed.stages[0].instructions]
    assert got == [line for line in lines if line and not line.startswith("#")]


def error_of(text: str) -> UsageError | None:
    try:
        parse(text)
    except UsageError as error:
        return error
    return None


def test_a_continued_empty_line_comes_before_nothing() -> None:
    assert parse("FROM scratch\n\\\n ADD a b\n").stages[0].instructions[0].keyword == "ADD"


@settings(max_examples=600)
@given(FRAGMENTS.map("".join))
def test_any_text_is_parsed_or_refused_with_a_place_in_it(text: str) -> None:
    error = error_of(text)
    if error is not None:
        match = re.match(r"Dockerfile:(\d+):(\d+): ", error.what)
        assert match is not None, error.what
        assert 1 <= int(match[1]) <= len(text.split("\n"))
        assert int(match[2]) >= 1
