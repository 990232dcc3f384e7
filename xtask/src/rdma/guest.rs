//! A running guest.

use super::Run;
use super::script::Script;
use crate::command::{Failure, command};
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

/// The line by which the guest's shell tells that it runs.
pub(super) const UP: &str = "GUEST-UP";
/// The line by which the guest's init tells how the command ended.
const STATUS: &str = "GUEST-RC=";

/// Ended when it is dropped.
pub(super) struct Guest {
    qemu: Child,
    _script: Script,
}

impl Guest {
    /// Boots that folder's kernel, with a cable if there is one, as long and in the way that `run` says.
    pub(super) fn start(
        kernel: &Path,
        script: Script,
        cable: Option<Cable>,
        run: &Run,
    ) -> Result<(Self, Output), Failure> {
        // If this process dies `timeout` gets a signal, which it passes on.
        let mut qemu = command("setpriv", &["--pdeathsig", "TERM", "timeout", "--kill-after=5"]);
        qemu.args([&run.limit.to_string(), "qemu-system-x86_64"]);
        // With a thread for each processor one may run into code that the other's kernel is just changing (static branches), which a
        // real processor does not, and the kernel dies of it.
        qemu.args(["-accel", if run.parallel { "tcg,thread=multi" } else { "tcg,thread=single" }]);
        qemu.args("-M q35 -cpu max -smp 2 -m 2048 -nodefaults -no-user-config".split(' '));
        qemu.args("-display none -monitor none -nic none -no-reboot".split(' '));
        qemu.args("-chardev file,id=console,path=/dev/fd/1,append=on -serial chardev:console".split(' '));
        qemu.arg("-kernel").arg(kernel.join("kernel")).arg("-initrd").arg(kernel.join("initrd.gz"));
        // On a busy host the timer's first interrupts come late, and clocks are measured wrongly: the kernel neither gives
        // up on the timer nor trusts the processor's counter without looking at another clock.
        qemu.arg("-virtfs")
            .arg("local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap")
            .arg("-append")
            .arg(format!(
                "console=ttyS0 quiet panic=-1 mitigations=off nokaslr nowatchdog no_timer_check \
                 wsd.script={} wsd.folder_of_guest={}",
                script.path().display(),
                kernel.display()
            ));
        if let Some(Cable { end, number }) = cable {
            // Its standard input is the cable.
            qemu.arg("-netdev").arg("stream,id=cable,addr.type=fd,addr.str=0").stdin(end);
            qemu.arg("-device")
                .arg(format!("virtio-net-pci,netdev=cable,host_mtu=9000,mac=52:54:00:09:00:{number:02}"));
        }
        let mut qemu =
            qemu.stdout(Stdio::piped()).spawn().map_err(|error| Failure::new(format!("setpriv: {error}")))?;
        let output = qemu.stdout.take().ok_or_else(|| Failure::new("setpriv: no output"))?;
        Ok((Self { qemu, _script: script }, Output(BufReader::new(output))))
    }

    /// Its end, when it has told that status or none.
    pub(super) fn end(mut self, told: Option<u8>) -> Result<(), Failure> {
        let status = self.qemu.wait().map_err(|error| Failure::new(format!("qemu: {error}")))?;
        match told {
            Some(0) => Ok(()),
            Some(code) => Err(Failure { status: code, message: format!("in the guest: exit status {code}") }),
            None => Err(Failure::of(status, format!("the guest ended without a word (qemu: {status})"))),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !matches!(self.qemu.try_wait(), Ok(None)) {
            return;
        }
        // SIGTERM, not SIGKILL: `timeout` passes it on. It may have ended by itself meanwhile.
        let _ = command("sh", &["-c", "kill \"$1\"", "kill", &self.qemu.id().to_string()]).status();
        let _ = self.qemu.wait();
    }
}

/// One end of a cable between two guests.
pub(super) struct Cable {
    end: OwnedFd,
    number: u8,
}

impl Cable {
    /// Both ends of a new one.
    pub(super) fn new() -> Result<[Self; 2], Failure> {
        let ends = std::os::unix::net::UnixStream::pair();
        let (one, other) = ends.map_err(|error| Failure::new(format!("no cable: {error}")))?;
        Ok([Self { end: one.into(), number: 1 }, Self { end: other.into(), number: 2 }])
    }
}

/// What a guest prints.
pub(super) struct Output<R = BufReader<ChildStdout>>(R);

impl<R: BufRead> Output<R> {
    /// Waits until the guest's shell runs; whether it does. Passes on what is printed before.
    pub(super) fn is_up(&mut self) -> bool {
        self.lines().any(|line| {
            let up = line == UP;
            if !up {
                println!("{line}");
            }
            up
        })
    }

    /// Passes on what is printed, up to the status that the guest ends with.
    pub(super) fn show(mut self, prefix: &str) -> Option<u8> {
        for line in self.lines() {
            match line.strip_prefix(STATUS) {
                Some(code) => return code.parse().ok(),
                None => println!("{prefix}{line}"),
            }
        }
        None
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<'_, R> {
        let lines = self.0.by_ref().split(b'\n').map_while(Result::ok);
        lines.map(|line| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_word_of_the_guest_is_its_status() {
        assert_eq!(Output(&b"a line\nGUEST-RC=7\r\n"[..]).show(""), Some(7));
        assert_eq!(Output(&b"cut off"[..]).show(""), None);
        assert_eq!(Output(&b"GUEST-RC=?"[..]).show(""), None);
    }

    #[test]
    fn guest_is_up_when_its_shell_says_so() {
        let mut printed = Output(&b"a module\nGUEST-UP\r\nGUEST-RC=0\n"[..]);
        assert!(printed.is_up());
        assert_eq!(printed.show(""), Some(0));
        assert!(!Output(&b"Kernel panic\n"[..]).is_up());
    }
}
