//! Development tasks: `cargo xtask <command>`, one file per command.
//!
//! The tasks call cargo and system tools, and link none of the other crates of this workspace.

mod bench;
mod build;
mod ci;
mod deny;
mod exactness;
mod fuzz;
mod kernels;
mod package;
mod run;
mod setup;
mod shell;
mod system;
mod test;
#[path = "../../trafcalc/build/toolchain.rs"]
mod toolchain;

use std::process::ExitCode;

use clap::Parser;

/// Development tasks of trafcalc.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Install what the build and the tests need; quick if nothing is missing
    Setup,
    /// Set up and build everything for release
    Build,
    /// Set up, build for release and start `trafcalc run --interval 1s --log -` with the privileges it needs
    Run(run::Arguments),
    /// Set up and run every test that this machine can run, and list the tests that it cannot run
    Test(test::Arguments),
    /// Run the scenarios on other kernels, in virtual machines
    Kernels(kernels::Arguments),
    /// Measure error and cost compared with other tools; results go to target/bench/
    Bench(bench::Arguments),
    #[command(hide = true)]
    BenchTraffic(bench::traffic::Arguments),
    #[command(hide = true)]
    BenchSlices(bench::slices::Arguments),
    /// Run each fuzz target for some seconds
    Fuzz(fuzz::Arguments),
    /// Build a deb and an rpm in target/package/
    Package(package::Arguments),
    /// Run everything that a change must pass: format, lints, licenses, documentation, the build without eBPF, all tests
    Ci,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Setup => setup::run(),
        Task::Build => build::run(),
        Task::Run(arguments) => run::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Kernels(arguments) => kernels::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::BenchTraffic(arguments) => bench::traffic::run(&arguments),
        Task::BenchSlices(arguments) => bench::slices::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Package(arguments) => package::run(&arguments),
        Task::Ci => ci::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
