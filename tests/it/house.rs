//! The rules of the house (ARCHITECTURE.md), over the paths that each source file names.

use std::fs;
use std::path::{Path, PathBuf};

/// A rule: no file under one of `of` but those under `except` may name any of `never`.
struct Rule {
    of: &'static [&'static str],
    except: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: &[Rule] = &[
    // The ledger is pure.
    Rule {
        of: &["ledger/"],
        except: &[],
        never: &[
            "std::fs",
            "std::io",
            "std::net",
            "std::time",
            "jiff",
            "aya",
            "tokio",
            "crate::identity",
            "crate::sinks",
            "crate::report",
            "crate::config",
            "crate::book",
            "crate::daemon",
            "crate::service",
        ],
    },
    // The backends do not know each other.
    Rule { of: &["capture/ebpf/"], except: &[], never: &["capture::packet", "super::packet"] },
    Rule { of: &["capture/packet/"], except: &[], never: &["capture::ebpf", "super::ebpf", "aya"] },
    // Who captures knows nobody who asks.
    Rule {
        of: &["capture/"],
        except: &[],
        never: &[
            "crate::config",
            "crate::identity",
            "crate::ledger",
            "crate::report",
            "crate::sinks",
            "crate::book",
            "crate::daemon",
            "crate::status",
        ],
    },
    // Who writes knows nobody who counts.
    Rule {
        of: &["sinks/"],
        except: &[],
        never: &["crate::capture", "crate::ledger", "crate::identity", "crate::config", "crate::daemon"],
    },
    Rule {
        of: &["book/"],
        except: &[],
        never: &["crate::sinks", "crate::report", "crate::ledger", "crate::identity", "crate::config", "crate::daemon"],
    },
    // Who answers asks the book alone.
    Rule {
        of: &["answer/"],
        except: &[],
        never: &[
            "crate::ledger",
            "crate::identity",
            "crate::report",
            "crate::status",
            "crate::daemon",
            "std::fs",
            "std::net",
            "SystemTime::now",
            "Timestamp::now",
        ],
    },
    Rule {
        of: &[""],
        except: &["answer/", "history/", "ship/", "cli.rs", "cli/", "lib.rs"],
        never: &["crate::answer"],
    },
    // Who takes care of the book is told who he is and what time it is.
    Rule {
        of: &["history/"],
        except: &[],
        never: &[
            "crate::ledger",
            "crate::identity",
            "crate::report",
            "crate::status",
            "crate::daemon",
            "std::net",
            "SystemTime::now",
            "Timestamp::now",
            "getuid",
        ],
    },
    // Who alerts knows the log alone.
    Rule {
        of: &["alert/"],
        except: &[],
        never: &[
            "crate::book",
            "crate::answer",
            "crate::history",
            "crate::daemon",
            "crate::status",
            "crate::ledger",
            "crate::capture",
        ],
    },
    // The exporter reads only the book: nothing that it does can delay the service.
    Rule {
        of: &["exporter/"],
        except: &[],
        never: &[
            "crate::answer",
            "crate::history",
            "crate::daemon",
            "crate::status",
            "crate::ledger",
            "crate::sinks",
            "crate::identity",
        ],
    },
    Rule { of: &[""], except: &["exporter/", "cli/", "lib.rs"], never: &["crate::exporter"] },
    // So does `ship`.
    Rule {
        of: &["ship/"],
        except: &[],
        never: &[
            "crate::history",
            "crate::daemon",
            "crate::status",
            "crate::ledger",
            "crate::sinks",
            "crate::identity",
        ],
    },
    Rule { of: &[""], except: &["ship/", "cli/", "lib.rs"], never: &["crate::ship"] },
    Rule { of: &["records.rs"], except: &[], never: &["std::fs", "std::io", "crate::"] },
    // What a cgroup is called follows from its name.
    Rule { of: &["container.rs"], except: &[], never: &["std::fs", "std::io", "std::time", "crate::"] },
    // Who shows what is now asks the service alone.
    Rule {
        of: &["live/"],
        except: &[],
        never: &[
            "crate::ledger",
            "crate::identity",
            "crate::book",
            "crate::config",
            "crate::capture",
            "crate::daemon",
            "std::fs",
            "SystemTime::now",
        ],
    },
    Rule { of: &[""], except: &["live/", "lib.rs"], never: &["crate::live"] },
    // Who serves clients knows nothing of counting, and asks nobody.
    Rule {
        of: &["status/"],
        except: &[],
        never: &["crate::ledger", "crate::identity", "crate::book", "crate::config", "crate::daemon"],
    },
    Rule { of: &["report"], except: &[], never: &["crate::sinks", "crate::book", "crate::daemon", "std::fs"] },
    // One door for each heavy dependency.
    Rule { of: &[""], except: &["capture/ebpf/"], never: &["aya::", "aya_obj::", "btf_rs::"] },
    Rule { of: &[""], except: &["cli.rs", "cli/"], never: &["clap::"] },
    Rule { of: &[""], except: &["cli/documents"], never: &["clap_complete::", "clap_mangen::"] },
    Rule { of: &[""], except: &["config/"], never: &["toml::"] },
    Rule { of: &[""], except: &["book/"], never: &["rusqlite::"] },
    Rule { of: &[""], except: &["book/", "host.rs"], never: &["sha2::", "hmac::"] },
    Rule { of: &[""], except: &["answer/svg.rs"], never: &["plotters::"] },
    Rule { of: &[""], except: &["live/"], never: &["ratatui::"] },
    Rule { of: &[""], except: &["service/privileges/syscalls.rs"], never: &["seccompiler::"] },
    Rule {
        of: &[""],
        except: &["service/privileges/write_access.rs", "service/privileges/sandbox.rs"],
        never: &["landlock::"],
    },
    Rule {
        of: &[""],
        except: &["daemon/run.rs", "daemon/tests.rs", "service/events.rs", "exporter/serve.rs", "exporter/push.rs"],
        never: &["tokio::"],
    },
    // The service speaks no HTTP.
    Rule {
        of: &[""],
        except: &["exporter/serve.rs", "exporter/push.rs"],
        never: &["hyper::", "hyper_util::", "http_body_util::"],
    },
    Rule { of: &[""], except: &["exporter/otlp.rs"], never: &["prost::"] },
    // Only the daemon knows everything else.
    Rule { of: &[""], except: &["daemon.rs", "daemon/", "lib.rs"], never: &["crate::daemon"] },
    // Memory of others is touched where the kernel is talked to.
    Rule {
        of: &[""],
        except: &["capture/", "service/", "selftest/", "identity/", "book/persist_wal.rs"],
        never: &["unsafe {", "unsafe fn"],
    },
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    sources
}

/// What a file says outside its comments and its tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.filter(|line| !line.trim_start().starts_with("//"))
}

fn is_named(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':')
            || path.starts_with("capture::")
    })
}

#[test]
fn every_file_keeps_the_rules_of_the_house() {
    let sources = sources();
    assert!(sources.len() > 100, "{} files", sources.len());
    let mut broken = Vec::new();
    for (path, text) in &sources {
        let name = path.to_str().unwrap();
        let is_test = name.ends_with("tests.rs") || name.contains("tests/") || name.contains("samples");
        let is_under = |places: &[&str]| places.iter().any(|place| name.starts_with(place));
        for rule in RULES.iter().filter(|rule| !is_test && is_under(rule.of) && !is_under(rule.except)) {
            for line in code(text) {
                let named = rule.never.iter().filter(|never| is_named(line, never));
                broken.extend(named.map(|never| format!("{name} names {never}: {}", line.trim())));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_broken_rule_would_be_seen() {
    assert!(is_named("use crate::sinks::Log;", "crate::sinks"));
    assert!(is_named("    aya::maps::Array::try_from(map)", "aya::"));
    assert!(!is_named("let papaya::x", "aya::"));
    assert_eq!(code("use a;\n// use b;\n#[cfg(test)]\nmod tests { use c; }").collect::<Vec<_>>(), ["use a;"]);
}
