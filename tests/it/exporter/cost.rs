//! What scrapes cost.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::{Case, Running, get, user};

/// Processor time of a process, in milliseconds.
fn processor_ms(pid: u32) -> f64 {
    let of_thread = |thread: std::io::Result<fs::DirEntry>| -> f64 {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(of_thread).sum::<f64>() / 1e6
}

/// Prints what scrapes take. To be run alone: `cargo test --release --test it -- --ignored --nocapture the_cost_of_scrapes`.
#[test]
#[ignore = "measures"]
fn the_cost_of_scrapes() {
    const SCRAPES: u32 = 200;
    let mut case = Case::new();
    let accounts: Vec<_> =
        (0..1_000).map(|uid| (user(1_000 + uid, &format!("user-{uid}")), 1 << 40, 1 << 41)).collect();
    case.report(&accounts);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trafcalc"));
    command.args(["exporter", "--listen", "127.0.0.1:19469", "--config"]).arg(case.path("trafcalc.toml"));
    let running = Running(command.arg("--book").arg(case.path("book.db")).stderr(Stdio::null()).spawn().unwrap());
    let address: SocketAddr = "127.0.0.1:19469".parse().unwrap();
    while TcpStream::connect(address).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    for (kind, headers) in [("plain", ""), ("gzip", "Accept-Encoding: gzip\r\n")] {
        let bytes = get(address, headers).1.len();
        let before = processor_ms(running.0.id());
        for _ in 0..SCRAPES {
            get(address, headers);
        }
        let same = (processor_ms(running.0.id()) - before) / f64::from(SCRAPES);
        let mut new = 0.0;
        for _ in 0..20 {
            case.report(&accounts);
            let before = processor_ms(running.0.id());
            get(address, headers);
            new += (processor_ms(running.0.id()) - before) / 20.0;
        }
        println!("{kind}: {bytes} bytes; {same:.2} ms of processor time, {new:.2} ms after a new report");
    }
    let begin = (Instant::now(), processor_ms(running.0.id()));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..10 {
                    get(address, "Accept-Encoding: gzip\r\n");
                    thread::sleep(Duration::from_secs(1));
                }
            });
        }
    });
    let share = (processor_ms(running.0.id()) - begin.1) / 1e3 / begin.0.elapsed().as_secs_f64();
    println!("16 scrapers, each once a second: {:.2} % of a processor", share * 100.0);
}
