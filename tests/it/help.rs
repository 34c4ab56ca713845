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
        "--reports-socket <PATH>",
        "[default: /run/trafcalc/reports.sock]",
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
        "[possible values: user, unit, program, class]",
        "--month <MONTH>",
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
        "--class <NAME>",
        "--billed",
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
fn help_of_top_names_every_option_and_its_default() {
    let help = printed(&["top", "--help"]);
    for option in ["--once", "--json", "--bits", "--socket <PATH>", "/run/trafcalc/reports.sock", "--config <FILE>"] {
        assert!(help.contains(option), "{option} is missing in\n{help}");
    }
}

#[test]
fn help_names_every_command_but_the_hidden_one() {
    let help = printed(&["--help"]);
    for command in ["  check ", "  run ", "  release ", "  report ", "  selftest ", "  status ", "  top "] {
        assert!(help.contains(command), "{command} is missing in\n{help}");
    }
    assert!(!help.contains("selftest-traffic") && !help.contains("  store ") && !help.contains("  documents "));
}

#[test]
fn called_with_nothing_it_shows_its_help_as_an_error() {
    let output = trafcalc(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: trafcalc <COMMAND>"));
}

#[test]
fn commands_that_ask_have_the_same_names_for_what_they_ask() {
    for (command, options) in [
        (&["status"][..], &["--socket <PATH>", "--config <FILE>"][..]),
        (&["top"], &["--socket <PATH>", "--config <FILE>"]),
        (&["report"], &["--book <PATH>", "--config <FILE>"]),
        (&["quota"], &["--book <PATH>", "--config <FILE>"]),
        (&["correct"], &["--book <PATH>", "--config <FILE>"]),
        (&["close"], &["--book <PATH>", "--config <FILE>"]),
        (&["history", "check"], &["--book <PATH>", "--config <FILE>"]),
        (&["history", "export"], &["--book <PATH>", "--config <FILE>"]),
        (&["exporter"], &["--book <PATH>", "--config <FILE>"]),
        (&["ship"], &["--book <PATH>", "--config <FILE>"]),
        (&["alert"], &["--log <FILE>", "--config <FILE>"]),
        (&["check"], &["--config <FILE>"]),
    ] {
        let help = printed(&[command, &["--help"]].concat());
        for option in options {
            assert!(help.contains(option), "{option} is missing in\n{help}");
        }
    }
    for args in [
        &["report", "--socket=/x"][..],
        &["quota", "--socket", "/x"],
        &["top", "--book=/x"],
        &["status", "--log=/x"],
        &["alert", "--exec=/x", "--book=/x"],
        &["run", "--socket=/x"],
    ] {
        let output = trafcalc(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let tip = "tip: status and top ask the service, at --socket PATH; report, quota, correct, close, history, exporter and ship ask the book";
        assert!(output.status.code() == Some(64) && told.contains(tip), "{args:?}: {told}");
    }
    // As `run` calls them.
    for args in [["status", "--status-socket=/nonexistent/x"], ["top", "--reports-socket=/nonexistent/x"]] {
        assert_eq!(trafcalc(&args).output().unwrap().status.code(), Some(69), "{args:?}");
    }
    let missing = trafcalc(&["check", "--config=/nonexistent/x.toml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(78));
}
