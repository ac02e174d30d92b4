"""The command line itself: help, lists, and what must happen before torch is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from diffexplain import cli
from diffexplain.cli import commands
from diffexplain.config.configuration import available, defaults

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys
from diffexplain import cli
from diffexplain.cli import commands
status = cli.run(sys.argv[1:])
slow = {"torch", "scipy", "lightning", "transformers", "diffusers"} & sys.modules.keys()  # pyarrow loads pandas
if "-m" not in sys.argv:  # A sweep draws its page.
    slow |= {"numpy", "PIL", "jinja2"} & sys.modules.keys()
assert not slow, f"imported: {slow}"
sys.exit(status)
"""
COMMANDS = """
import sys
from diffexplain import cli
for line in sys.stdin:
    *words, status = line.split()
    assert cli.main(words) == int(status), line
    slow = {"torch", "scipy", "lightning", "transformers", "diffusers", "pandas", "numpy", "PIL", "jinja2"}
    assert not slow & sys.modules.keys(), (line, slow & sys.modules.keys())
"""


def without_torch(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done


def test_help_has_nine_examples_and_every_choice_and_is_no_dump() -> None:
    text = without_torch("--help").stdout
    assert sum(line.startswith("  diffexplain run") for line in text.splitlines()) == 9
    for group, choices in available().items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {group} ")]
        for choice in choices:
            assert f"{choice}{'*' if choice == defaults()[group] else ''}" in line
    assert "_target_" not in text
    assert len(text.splitlines()) < 40


def test_what_computes_nothing_loads_nothing_that_computes(tmp_path: Path) -> None:
    commands = """
        --help 0
        --version 0
        list choices 0
        list classes 0
        list concepts 0
        list hierarchies 0
        list weights 0
        list runs 0
        list clases 2
        nothing 2
        run --help 0
        run --cfg 0
        run explainer.steps=many 2
        run trainer.precision=8bit 2
        run prior=sdturb 2
        run experiment=confirm 2
        run target=class:flagpoel 2
        run target=class:bee,wasp 2
        run classifier=nobodys 2
        run classifier=module target=class:tench diffusion=world 2
        plan target=class:flagpoel 2
        fetch diffusion=nobodys 2
        compare nowhere elsewhere 2
        sync 2
    """
    program = [sys.executable, "-c", COMMANDS]
    lines = "\n".join(line.strip() for line in commands.strip().splitlines())
    done = subprocess.run(program, cwd=tmp_path, input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_its_environment_the_command_names_the_remedy() -> None:
    bare = [sys.executable, "-I", "-S", "run.py"]
    done = subprocess.run(bare, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "source .venv/bin/activate" in done.stderr and len(done.stderr.splitlines()) == 1


def test_run_py_is_the_same_and_needs_no_arguments_for_help() -> None:
    done = subprocess.run([sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == commands.help_page()


def test_a_wrong_class_ends_before_torch_is_imported(tmp_path: Path) -> None:
    error = without_torch("target=class:flagpoel", f"paths.outputs={tmp_path}", status=2).stderr
    assert "flagpoel" in error
    assert "nearest:  flagpole" in error
    assert "diffexplain list classes classifier=world_shortcut_cnn" in error
    assert not list(tmp_path.iterdir())


def test_an_unknown_key_ends_with_its_nearest(tmp_path: Path) -> None:
    error = without_torch("evaluation.imges=3", status=2).stderr
    assert "nearest:  evaluation.images" in error


def test_a_finished_run_is_found_and_judged_by_rules_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["paths.configs=[tests/conf]", "plugins=[tests]", "experiment=pretend", f"paths.outputs={tmp_path}"]
    monkeypatch.chdir(ROOT)  # The paths in tests/conf are relative.
    assert cli.run([*settings, "fail_if=a flog > 0.1"]) == 2
    assert "nearest:  a flag" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert cli.run(settings) == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("*/*/*/*.*")}
    done = without_torch(*settings, "fail_if=a flag > 0.1", status=4)
    assert "Already finished" in done.stdout
    assert str(tmp_path) in done.stdout
    assert "a flag > 0.1: holds." in done.stdout
    assert cli.run([*settings, "fail_if=a flag < 0.1"]) == 0
    assert before == {path: path.read_bytes() for path in tmp_path.glob("*/*/*/*.*")}
    sweep = without_torch("-m", *settings, "target=class:pole,class:mast", "fail_if=red < -9, a flag > 0.1", status=4)
    assert [line.count("a flag") for line in sweep.stdout.splitlines() if "done" in line] == [2, 2]
    assert sweep.stdout.count("a flag > 0.1: holds.") == 2


def test_a_name_with_an_apostrophe_works_as_it_is_typed(tmp_path: Path) -> None:
    labels = tmp_path / "it's, mine.txt"
    labels.write_text("n02966687 carpenter's kit, tool kit\nn02206856 bee\n")
    given = [
        "classifier=pretend",
        "paths.configs=[tests/conf]",
        f"classifier.labels='{labels}'".replace("t's", r"t\'s"),
    ]
    error = without_torch("target=class:carpenter's kitt", *given, status=2).stderr
    assert "nearest:  carpenter's kit" in error
    assert "Exception" not in error


def test_classes_are_listed_with_index_name_id_and_synonyms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids.txt").write_text("n03355925\nn02206856\n")
    assert cli.main(["list", "classes", f"classifier.labels={tmp_path}/ids.txt"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["index", "name", "wnid", "synonyms"]
    assert lines[1:] == [["0", "flagpole", "n03355925", "flagstaff"], ["1", "bee", "n02206856"]]


def test_a_list_may_be_cut_off_by_who_reads_it(tmp_path: Path) -> None:
    (tmp_path / "many.txt").write_text("".join(f"a thing of the kind {'x' * n}\n" for n in range(1, 400)))
    command = [sys.executable, "-c", "import sys; from diffexplain import cli; sys.exit(cli.main(sys.argv[1:]))"]
    command += ["list", "classes", f"classifier.labels={tmp_path}/many.txt"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert program.stdout.readline().startswith("index")
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 0


def test_classes_and_choices_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "classes", "classifier=world_shortcut_cnn"]) == 0
    lines = capsys.readouterr().out.splitlines()
    labels = ROOT / "src/diffexplain/world/weights/classifiers/shortcut_cnn/labels.json"
    assert len(lines) == 1 + len(json.loads(labels.read_text())["classes"])
    assert any("flagpole" in line for line in lines)
    assert cli.main(["list", "choices"]) == 0
    assert "classifier=world_shortcut_cnn *" in capsys.readouterr().out


def test_units_can_be_listed_and_a_wrong_one_is_refused_before_weights_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["list", "units", "classifier=world_shortcut_cnn"]) == 0
    module, channels = capsys.readouterr().out.splitlines()[-2].split()[:2]

    def no_weights(*arguments: object, **options: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("diffexplain.classifiers.classifier.load_state", no_weights)
    outputs = f"paths.outputs={tmp_path}"
    assert cli.run([f"target=unit:{module}x:0", outputs]) == 2
    error = capsys.readouterr().err
    assert f"nearest:  {module}" in error
    assert "diffexplain list units classifier=world_shortcut_cnn" in error
    assert cli.run([f"target=unit:{module}:{channels}", outputs]) == 2
    assert f"channels 0 to {int(channels) - 1}" in capsys.readouterr().err


def test_commands_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lst"]) == 2
    assert "nearest:  list" in capsys.readouterr().err
    assert cli.main(["list", "clases"]) == 2
    assert "nearest:  classes" in capsys.readouterr().err
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert "diffexplain sync" in capsys.readouterr().out
    assert cli.main(["sync"]) == 2
    assert cli.main(["sync", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
