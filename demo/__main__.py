"""`make demo`: exit 0 only if every check held.

Variables: TERRITORY=1 plays the companies of Plaine Commune, HEATING=1 the households of the
heating survey, LEARNING=1 the employers who train a network; SERVE=1 keeps everything up and says
what to try on the pages. Exit 75: the survey could not be downloaded, or what the network needs is
not installed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from demo.commuters import Commuters
from demo.companies import Companies
from demo.households import Households
from demo.learning import ExtraMissing, Learning
from demo.narrator import Narrator
from demo.serving import Serving
from demo.wheel import SurveyMissing
from loopback.processes import Processes
from loopback.territory import Territory

OUT = Path("demo-out")
VARIANTS: dict[str, type[Companies | Households | Learning]] = {
    "TERRITORY": Companies,
    "HEATING": Households,
    "LEARNING": Learning,
}


def main() -> int:
    """Play the story, whatever happens stop every process."""
    OUT.mkdir(exist_ok=True)
    for stale in (*OUT.glob("evidence*"), *OUT.glob("camp_*"), OUT / "logs"):
        shutil.rmtree(stale, ignore_errors=True)
    narrator = Narrator(OUT / "report.txt")
    # Workers of a root demo run as their own user, who must be able to reach their folders.
    home = Path(tempfile.mkdtemp(prefix="cadastre-demo-"))
    home.chmod(0o711)
    processes = Processes(OUT / "logs", narrator.detail)
    processes.watch_footprint()
    # Stop as by Ctrl-C, also where a shell put us in the background and told us not to heed that.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        chosen = [story for name, story in VARIANTS.items() if os.environ.get(name)]
        story = chosen[0] if chosen else Commuters
        steps = story(narrator, Territory(processes, home), OUT)
        steps.play()
        if os.environ.get("SERVE"):
            with contextlib.suppress(KeyboardInterrupt):
                Serving(steps).play()
    except (SurveyMissing, ExtraMissing) as error:
        narrator.say(f"demo: not played: {error}")
        return os.EX_TEMPFAIL
    except KeyboardInterrupt:
        narrator.failures.append("interrupted")
    except Exception as error:  # noqa: BLE001 - the story must end with its verdict
        narrator.detail(traceback.format_exc())
        narrator.check("the story runs to its end", held=False, seen=str(error)[:600])
    finally:
        processes.stop_all()
        shutil.rmtree(home, ignore_errors=True)
    return narrator.finish()


if __name__ == "__main__":
    sys.exit(main())
