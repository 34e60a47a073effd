//! Peak memory of this process.

/// The largest resident set so far in bytes, where the system tells
/// (Linux: `VmHWM` of `/proc/self/status`).
pub fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn it_grows_with_what_is_touched() {
        let before = super::peak_resident().unwrap();
        let pages = vec![1u8; 256 << 20];
        assert!(pages.iter().step_by(4096).all(|&b| b == 1));
        let after = super::peak_resident().unwrap();
        assert!(after >= before.min(256 << 20), "{before} then {after}");
        assert!(after >= 256 << 20);
    }
}
