//! What the program says about itself.

use super::support::trafcalc;

fn printed(args: &[&str]) -> String {
    let output = trafcalc(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(printed(&["--version"]), format!("trafcalc {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn help_names_every_option_of_the_contract_and_its_default() {
    let help = printed(&["run", "--help"]);
    for option in [
        "--config <FILE>",
        "--backend <BACKEND>",
        "--attach <MODE>",
        "--method <METHOD>",
        "--interval <TIME>",
        "--duration <TIME>",
        "--log <PATH>",
        "--book <PATH>",
        "--format <FORMAT>",
        "--keep <systemd|DIR>",
        "--loopback",
        "--by <WHAT>",
        "--owner <WHOSE>",
        "--user <NAME|UID>",
        "--pid <PID>",
        "--children",
        "--program <NAME>",
        "--unit <NAME>",
        "--later",
        "[possible values: socket, acting]",
        "[possible values: user, process, program, unit]",
        "--status-socket <PATH>",
        "[default: /run/trafcalc/status.sock]",
        "[default: /etc/trafcalc.toml if present]",
        "[default: 1m]",
        "[default: /var/log/traffic]",
        "[default: logfmt]",
        "[possible values: auto, ebpf, packet]",
        "[possible values: fentry, kprobe, tracepoint]",
        "[possible values: auto, sweep, events]",
        "[possible values: logfmt, json]",
    ] {
        assert!(help.contains(option), "{option} is missing in\n{help}");
    }
}

#[test]
fn help_of_report_names_every_option_and_its_default() {
    let help = printed(&["report", "--help"]);
    for option in [
        "--by <WHAT>",
        "[possible values: user, unit, program]",
        "--month <YYYY-MM>",
        "--day <DAY>",
        "--from <MOMENT>",
        "--to <MOMENT>",
        "--last <TIME>",
        "--since <MOMENT>",
        "--each <PART>",
        "[possible values: hour, day, month]",
        "--user <NAME|UID>",
        "--unit <NAME>",
        "--program <NAME>",
        "--top <N>",
        "--billing-day <DAY>",
        "--zone <ZONE>",
        "--percentile <PERCENT>",
        "--estimate",
        "--format <FORMAT>",
        "[possible values: table, json, csv]",
        "[default: table]",
        "--bytes",
        "--book <PATH>",
        "--config <FILE>",
    ] {
        assert!(help.contains(option), "{option} is missing in\n{help}");
    }
}

#[test]
fn help_names_every_command_but_the_hidden_one() {
    let help = printed(&["--help"]);
    for command in ["  run ", "  release ", "  report ", "  selftest ", "  status "] {
        assert!(help.contains(command), "{command} is missing in\n{help}");
    }
    assert!(!help.contains("selftest-traffic") && !help.contains("  store "));
}

#[test]
fn called_with_nothing_it_shows_its_help_as_an_error() {
    let output = trafcalc(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: trafcalc <COMMAND>"));
}
