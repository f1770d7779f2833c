//! Namespaces, the tun, and who runs in them.

use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    contender::Contender,
    load::{self, ADDRESSES},
};

/// The namespaces and the server.
pub struct Topology {
    server: Child,
}

/// A contender at work.
pub struct Running {
    pub relay: Option<Child>,
    /// Whom the app asks for names.
    pub resolver: &'static str,
}

impl Running {
    /// This program as a client on the app's side, which may open many files.
    pub fn client(&self, words: &[String]) -> Command {
        let mut command = match &self.relay {
            Some(_) => nsenter("app"),
            None => Command::new("env"),
        };
        command
            .args(["sh", "-c", FILES, "sh"])
            .arg(env::current_exe().expect("a running program has a path"))
            .arg(load::CLIENT)
            .args(words)
            .stderr(Stdio::inherit());
        command
    }
}

impl Topology {
    pub fn new() -> Result<Self, String> {
        run("mount -t tmpfs tmpfs /run")?;
        for namespace in ["app", "server"] {
            run(&format!("ip netns add {namespace}"))?;
            run(&format!("ip -n {namespace} link set lo up"))?;
        }
        run("ip link set lo up")?;
        run("ip link add up0 type veth peer name down0 netns server")?;
        run("ip addr add 192.0.2.1/30 dev up0")?;
        run("ip link set up0 up")?;
        run("ip -n server addr add 192.0.2.2/30 dev down0")?;
        run("ip -n server link set down0 up")?;
        for number in 0..ADDRESSES {
            let address = load::address(number, 0).ip();
            run(&format!("ip -n server addr add {address}/32 dev lo"))?;
        }
        run("ip route add 198.51.100.0/24 via 192.0.2.2")?;
        // What has been closed is in nobody's way: runs follow each other at once.
        for namespace in ["", "app", "server"] {
            let mut command = match namespace {
                "" => Command::new("env"),
                _ => nsenter(namespace),
            };
            let set = [
                "net.ipv4.tcp_tw_reuse=1",
                "net.ipv4.ip_local_port_range=1024 65535",
            ];
            let status = command.args(["sysctl", "-q"]).args(set).status();
            if !status.is_ok_and(|status| status.success()) {
                return Err("sysctl does not set what it is told".into());
            }
        }
        let mut server = nsenter("server")
            .args(["sh", "-c", FILES, "sh"])
            .arg(env::current_exe().expect("a running program has a path"))
            .arg(load::SERVER)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server: {error}"))?;
        let mut line = String::new();
        if let Some(said) = &mut server.stdout {
            let _ = BufReader::new(said).read_line(&mut line);
        }
        let topology = Self { server };
        if line != "ready\n" {
            return Err(format!("the server says {line:?}"));
        }
        Ok(topology)
    }

    /// Starts a contender on a new tun and gives the tun to the app.
    pub fn start(
        &self,
        contender: &Contender,
        mtu: u32,
        queue: u32,
        work: &Path,
    ) -> Result<Running, String> {
        if contender.command.is_empty() {
            return Ok(Running {
                relay: None,
                resolver: contender.resolver,
            });
        }
        run(&format!("ip tuntap add dev {TUN} mode tun"))?;
        run(&format!("ip link set {TUN} mtu {mtu} txqueuelen {queue}"))?;
        let fill = |word: &String| {
            word.replace("{tun}", TUN)
                .replace("{mtu}", &mtu.to_string())
        };
        let words: Vec<String> = contender.command.iter().map(fill).collect();
        let log = work.join(format!("{}.log", contender.name));
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let relay = Command::new("sh")
            .args(["-c", FILES, "sh"])
            .args(&words)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", words[0]))?;
        let running = Running {
            relay: Some(relay),
            resolver: contender.resolver,
        };
        match self.hand_over(&running, mtu, queue) {
            Ok(()) => Ok(running),
            Err(reason) => {
                self.stop(running);
                Err(reason)
            }
        }
    }

    pub fn stop(&self, running: Running) {
        if let Some(mut child) = running.relay {
            let _ = Command::new("kill")
                .args(["-INT", &child.id().to_string()])
                .status();
            let deadline = Instant::now() + Duration::from_secs(2);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        for namespace in ["", "-n app "] {
            let _ = quiet(
                &format!("ip {namespace}link del {TUN}")
                    .split(' ')
                    .collect::<Vec<_>>(),
            );
        }
    }

    fn hand_over(&self, running: &Running, mtu: u32, queue: u32) -> Result<(), String> {
        let relay = running
            .relay
            .as_ref()
            .expect("a contender with a tun runs")
            .id();
        let deadline = Instant::now() + Duration::from_secs(5);
        while !is_attached(relay) {
            if Instant::now() > deadline {
                return Err("it did not attach to the tun (see its log)".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(300));
        run(&format!("ip link set {TUN} netns app"))?;
        run(&format!(
            "ip -n app link set {TUN} mtu {mtu} txqueuelen {queue}"
        ))?;
        run(&format!("ip -n app addr replace 10.9.0.2/24 dev {TUN}"))?;
        run(&format!("ip -n app link set {TUN} up"))?;
        run(&format!("ip -n app route replace default dev {TUN}"))
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Whether a process has attached to the tun: the kernel says so in `fdinfo`.
fn is_attached(process: u32) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fdinfo")) else {
        return false;
    };
    let attached = format!("iff:\t{TUN}\n");
    files
        .flatten()
        .any(|file| fs::read_to_string(file.path()).is_ok_and(|info| info.contains(&attached)))
}

fn nsenter(namespace: &str) -> Command {
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{namespace}"))
        .arg("--");
    command
}

fn run(line: &str) -> Result<(), String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let output = Command::new(words[0])
        .args(&words[1..])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{line}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

fn quiet(words: &[&str]) -> bool {
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const TUN: &str = "bench0";
/// Every process may have as many descriptors as there may be.
const FILES: &str = "ulimit -Sn $(ulimit -Hn); exec \"$@\"";
