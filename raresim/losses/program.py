"""A loss that is a program: it gets the risk factors in files or arguments, and its output holds the loss."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, ClassVar

from raresim.arguments.checks import FolderPath
from raresim.data.files import listed
from raresim.distributions.base import Inputs
from raresim.distributions.standard_normal import StandardNormal
from raresim.errors import FieldError, LossError
from raresim.losses.launch import COMPLAINED, PRINTED, launch
from raresim.losses.outputs import ProgramOutput
from raresim.losses.packing import absolute, packed, text_of, unpacked
from raresim.losses.placeholders import filled, names_in
from raresim.losses.rows import RowError, RowLoss
from raresim.losses.stopping import Stop
from raresim.numerics.arrays import Float
from raresim.registry import member

OWN = {
    "python": "the Python interpreter of this run",
    "row_folder": "the folder of the row",
}
"""Placeholders that are no factors."""

MOST_KEPT = 20
"""Largest number of folders of failed rows that a loss keeps in each process."""


@member("loss")
@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramLoss(RowLoss):
    """A program of any language, started once for each row of risk factors.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments, without a shell. An argument may have placeholders, ``${load}``, for risk
        factors by name (``x1``, ``x2``, ... where they have none), for ``${python}``, the interpreter of this run, and
        for ``${row_folder}``, the folder of the row. ``$$`` is a dollar sign.
    output : ProgramOutput or sequence of ProgramOutput
        Where the loss stands in what the program writes: ``{file: beam.out, pattern: "deflection = (.*)"}``, or
        ``{file: beam.csv, column: deflection}``. Several outputs are limit states of one start of the program: each
        has a ``name``, and where their units differ a limit of its own, ``above`` or ``below``.
    templates : mapping of str to path
        Input files of the program: the name in the folder of the row, and the template, whose placeholders are
        replaced as in ``command``.
    copies : sequence of path
        Further files that the program needs in the folder of the row, such as a mesh or the program itself; they are
        copied.
    environment : mapping of str to str or int
        Environment variables, beside those of this process.
    working_folder : path, optional
        The folder that the program runs in; left out, the folder of the row.
    folder : path, optional
        Where the folders of rows are made; left out, among the temporary files of the system. The folder of a row is
        removed once its loss is read. Those of the first 20 failed rows of a process are kept, and messages name them.
    parallel : int
        Number of programs that run at the same time for one worker.
    timeout : float, optional
        Seconds that a program may take; it is then killed, with the programs that it started.
    on_failure : "error", "bound" or "retry"
        Treatment of a row whose program fails: it ends with an exit code other than 0 or by a signal, takes too long,
        writes no output, or something that is no finite number. With ``error`` the run ends. With ``bound`` the row
        counts as outside the event for the estimate and the lower end of the interval, and as inside for the upper
        end. With ``retry`` it is tried again, and the run ends if that does not help.
    retries : int, optional
        How many times a failed row is tried again; left out, 3 with ``retry`` and 0 with ``bound``.
    system : "any", "all" or mapping
        Which of several outputs make the event: any or all of them reach the threshold, or, with ``{"at_least": 2}``,
        at least so many. Where outputs have limits of their own, a measure asks for ``above: 0``.
    smooth : bool
        Declares that the loss changes smoothly with the factors, without kinks or jumps, as a finite-element model
        with one mode of failure does. Methods that learn the loss from few evaluations need this declaration, and
        report evaluations that contradict it.
    unit : str, optional
        Name of the loss's unit, such as ``mm``: it is printed beside numbers and on axes, and nothing is converted.

    Raises
    ------
    FieldError
        When a field is not allowed, the program or a file is not there, a placeholder stands for nothing, or no factor
        reaches the program.
    LossError
        When the program cannot be started, its output holds several numbers and ``take`` does not say which counts, or
        a CSV file has no such column, for any ``on_failure``; and when a row fails for good and is not bounded.

    Notes
    -----
    Numbers are written with as many digits as make them the same number again, as ``0.1`` or ``1e-05``. The output may
    have exponents of Fortran, ``1.5D-03``.

    Each worker runs ``parallel`` programs at a time, ``execution.workers`` times ``parallel`` in all. Neither changes a
    digit.
    """

    kind: ClassVar[str] = "program"

    command: Sequence[str]
    output: ProgramOutput | Sequence[ProgramOutput]
    templates: Mapping[str, Path] = field(default_factory=dict)
    copies: Sequence[Path] = ()
    environment: Mapping[str, str | int] = field(default_factory=dict)
    working_folder: FolderPath | None = None
    folder: FolderPath | None = None

    texts: Mapping[str, str] = field(default_factory=dict, init=False, repr=False)
    names: tuple[str, ...] = field(default=(), init=False, repr=False)
    kept: list[Path] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.check_rows()
        if not self.command or not self.command[0]:
            raise FieldError("command", "must name a program, got an empty list")
        object.__setattr__(self, "templates", {name: absolute(path) for name, path in self.templates.items()})
        object.__setattr__(self, "copies", tuple(map(absolute, self.copies)))
        for name in ("working_folder", "folder"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, absolute(getattr(self, name)))
        if self.working_folder is not None and not self.working_folder.is_dir():
            raise FieldError("working_folder", f"no such folder: {self.working_folder}")
        taken = {PRINTED, COMPLAINED}
        for name in [*self.templates, *(path.name for path in self.copies)]:
            if not name or PurePath(name).is_absolute() or ".." in PurePath(name).parts:
                raise FieldError("templates", f"must name files in the folder of the row, got {name!r}")
            if name in taken:
                raise FieldError("templates", f"must be different files in the folder of the row, got {name!r} twice")
            taken.add(name)

    @property
    def name(self) -> str:
        program, *arguments = self.command
        words = shlex.join(["python" if program == "${python}" else Path(program).name, *arguments]).split()
        return textwrap.shorten(" ".join(words), 60, placeholder=" ...")

    def bind(self, inputs: Inputs) -> ProgramLoss:
        names = inputs.names or tuple(f"x{i}" for i in range(1, inputs.dim + 1))
        if own := [name for name in names if name in OWN]:
            raise FieldError("command", f"${{{own[0]}}} is {OWN[own[0]]}: call the risk factor something else")
        bound = replace(self)
        object.__setattr__(bound, "names", names)
        object.__setattr__(bound, "texts", {name: text_of(path) for name, path in self.templates.items()})
        if not bound.used():
            raise FieldError(
                "templates", f"no factor reaches the program: a template or an argument must hold ${{{names[0]}}}"
            )
        bound._find_program()
        for path in self.copies:
            if not path.is_file():
                raise FieldError("copies", f"no such file: {path}")
        return bound

    def used(self) -> set[str]:
        """The factors that the templates and the command have placeholders for; of a loss that is bound.

        Raises
        ------
        FieldError
            For a placeholder that stands for nothing, with its place.
        """
        allowed, found = {*self.names, *OWN}, set()
        for k, word in enumerate(self.command):
            found |= names_in(word, allowed, "command", f"argument {k}")
        for name, text in self.texts.items():
            found |= names_in(text, allowed, "templates", self.templates[name].name)
        return found - OWN.keys()

    def _find_program(self) -> None:
        """Raise `FieldError` if the program is not there, as far as that can be known before a row has a folder."""
        program = self.command[0]
        if "$" in program:
            return
        if os.sep not in program and (os.altsep is None or os.altsep not in program):
            path = self.environment.get("PATH")
            if shutil.which(program, path=None if path is None else str(path)) is None:
                raise FieldError("command", f"no program {program!r} on the PATH; write ./{program} for one in copies")
        elif Path(program).is_absolute() or self.working_folder is not None:
            whole = (self.working_folder or Path()) / program
            if not os.access(whole, os.X_OK) or whole.is_dir():
                raise FieldError("command", f"no such program, or it is not executable: {whole}")
        elif os.path.normpath(program) not in {*self.templates, *(path.name for path in self.copies)}:
            raise FieldError(
                "command",
                f"{program!r} must be among copies, or an absolute path: it is looked for in the row's folder",
            )

    @property
    def outputs(self) -> tuple[ProgramOutput, ...]:
        return (self.output,) if isinstance(self.output, ProgramOutput) else tuple(self.output)

    def of_row(self, row: Float, stop: Stop) -> tuple[float, ...]:
        folder, keep = self._new_folder(), False
        try:
            return self._in_folder(folder, row, stop)
        except RowError as error:
            keep = not stop.is_set() and len(self.kept) < MOST_KEPT
            self.kept.extend([folder] if keep else [])
            raise RowError(error.kind, f"{error}; its folder is {folder}" if keep else str(error)) from None
        except OSError as error:  # a file of the program is gone, or there is no room for its copy
            raise LossError(f"loss {self.name}: the folder of a row cannot be made ready: {error}") from None
        except LossError as error:
            keep = True
            raise LossError(f"loss {self.name}: {error}; its folder is {folder}") from None
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)

    def _new_folder(self) -> Path:
        """An empty folder for a row."""
        try:
            if self.folder is not None:
                self.folder.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix="row-" if self.folder else "raresim-row-", dir=self.folder))
        except OSError as error:
            raise LossError(f"loss {self.name}: no folder for a row can be made: {error}") from None

    def _in_folder(self, folder: Path, row: Float, stop: Stop) -> tuple[float, ...]:
        """The numbers of one row, from a program that has its files in ``folder``."""
        values = {name: repr(float(value)) for name, value in zip(self.names, row, strict=True)}
        values |= {"python": sys.executable, "row_folder": str(folder)}
        for name, text in self.texts.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(filled(text, values), "utf-8", newline="")
            shutil.copymode(self.templates[name], folder / name)
        for path in self.copies:
            shutil.copy(path, folder)
        command = [filled(word, values) for word in self.command]
        environment = {name: str(value) for name, value in self.environment.items()}
        launch(command, folder, self.working_folder or folder, environment, self.timeout, stop)
        return tuple(output.number(folder, folder / PRINTED) for output in self.outputs)

    def notes(self, inputs: Inputs) -> list[str]:
        """See `Loss.notes`; of a loss that is bound."""
        used = self.used()
        unused = [name for name in self.names if name not in used]
        return [f"the program gets no placeholder for {listed(unused)}: its loss cannot depend on it"] if unused else []

    def files(self) -> list[Path]:
        program = [Path(self.command[0])] if Path(self.command[0]).is_absolute() else []
        return [*self.templates.values(), *self.copies, *program]

    def replay(self, path: Path) -> str:
        return f"{shlex.join(self.command)}, in the folder of the row, with the numbers of x in that file"

    def describe(self) -> list[str]:
        names = self.limit_state_names or ("the loss",)
        read = [f"{name} is {output.describe()}" for name, output in zip(names, self.outputs, strict=True)]
        lines = [f"program: {shlex.join(self.command)}", *read]
        if self.templates:
            lines.append(f"input files from templates: {listed(list(self.templates))}")
        return [*lines, *self.about_rows()]

    def __getstate__(self) -> dict[str, Any]:
        paths = (*self.templates.values(), *self.copies)
        return {**self.__dict__, "luggage": [packed(path) for path in paths]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        contents = iter(state.pop("luggage"))
        self.__dict__.update(state)
        there = {name: unpacked(path, *next(contents)) for name, path in self.templates.items()}
        self.__dict__["templates"] = there
        self.__dict__["copies"] = tuple(unpacked(path, *next(contents)) for path in self.copies)

    @staticmethod
    def examples() -> list[tuple[Inputs, ProgramLoss]]:
        """Inputs and losses for the conformance tests."""
        sum_of_two = "import sys; print('loss:', float(sys.argv[1]) + float(sys.argv[2]))"
        command = ["${python}", "-I", "-S", "-c", sum_of_two, "${x1}", "${x2}"]
        return [(StandardNormal(dim=2), ProgramLoss(command=command, output=ProgramOutput(pattern="^loss: (.*)$")))]
