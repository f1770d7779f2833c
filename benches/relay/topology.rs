//! Namespaces, the tun, and who runs in them.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{contender::Contender, socks};

/// The namespaces and the iperf3 server.
pub struct Topology {
    server: Child,
}

/// A contender at work.
pub struct Running {
    pub relay: Option<Child>,
    pub proxy: Option<Child>,
    /// Words before a client's own that put it on the app's side.
    pub client: &'static [&'static str],
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
        let server = nsenter("server")
            .args(["iperf3", "--server", "--bind", SERVER])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("iperf3: {error} (apt-get install iperf3)"))?;
        let topology = Self { server };
        thread::sleep(Duration::from_millis(500));
        if !quiet(&["iperf3", "--client", SERVER, "--time", "1"]) {
            return Err("iperf3 does not reach its server (apt-get install iperf3)".into());
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
                proxy: None,
                client: &[],
            });
        }
        run(&format!("ip tuntap add dev {TUN} mode tun"))?;
        run(&format!("ip link set {TUN} mtu {mtu} txqueuelen {queue}"))?;
        let proxy = contender.proxied.then(socks::start).transpose()?;
        let fill = |word: &String| {
            word.replace("{tun}", TUN)
                .replace("{mtu}", &mtu.to_string())
                .replace("{socks}", socks::ADDRESS)
        };
        let words: Vec<String> = contender.command.iter().map(fill).collect();
        let log = work.join(format!("{}.log", contender.name));
        let log = File::create(&log).map_err(|error| format!("{}: {error}", log.display()))?;
        let relay = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", words[0]))?;
        let running = Running {
            relay: Some(relay),
            proxy,
            client: &["ip", "netns", "exec", "app"],
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
        for mut child in running.relay.into_iter().chain(running.proxy) {
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

/// Where iperf3 listens.
pub const SERVER: &str = "192.0.2.2";
const TUN: &str = "bench0";
