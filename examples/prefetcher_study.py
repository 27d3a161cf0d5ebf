"""How large must the instruction prefetcher be? A study with the sweep machinery: resumable, all cores, one table."""

# %% The study: as on the command line, `archsim sweep --traces bigcode_sm86 --axis sm.prefetcher.size=1,4,16`
from pathlib import Path

from archsim.engine.sweep import ProcessPool, load_study, load_table, run_study

FILE = Path("prefetcher.yaml")
FILE.write_text("base: rtx_a6000\ntraces: [bigcode_sm86]\naxes:\n  sm.prefetcher.size: [1, 4, 16]\n")

# %% Run it (a second time, nothing runs)
if __name__ == "__main__":  # workers import this file
    done = run_study(load_study(FILE), "prefetcher-study", ProcessPool(2))
    print(f"{done.rows} rows in {done.seconds:.1f} s")

    # %% The table
    rows = load_table("prefetcher-study").rows()
    for row in rows:
        share = 100 * row["stall.no_instruction"] / row["issue_slots"]
        print(f"size {row['sm.prefetcher.size']:3}: {row['cycles']:8,} cycles, waiting for instructions {share:5.1f} %")

    # %% The page
    from archsim.view.page import write_page
    from archsim.view.report_sweep import sweep_data

    size = write_page(sweep_data("prefetcher-study"), "prefetcher-study.html")
    print(f"prefetcher-study.html: {size:,} bytes")
