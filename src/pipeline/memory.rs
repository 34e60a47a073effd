//! Memory of this process: what it took at most, and what it may take.

/// The largest resident set so far in bytes, where the system tells
/// (Linux: `VmHWM` of `/proc/self/status`).
pub fn peak_resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(kibibytes(&status, "VmHWM:")? * 1024)
}

/// The memory in bytes that whoever started this process allows it (`ulimit -v`,
/// `ulimit -d`), where there is a limit and the system tells it (Linux:
/// `/proc/self/limits`). What is asked for beyond it is refused, and ends the
/// process.
pub fn limit() -> Option<u64> {
    least_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// What is left in bytes of what [`limit`] allows, where there is a limit.
pub fn left() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    left_of(&limits, &std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The rooms that are limited, with the line of the status that tells how much
/// of each is taken.
const LIMITED: [(&str, &str); 2] = [("Max address space", "VmSize:"), ("Max data size", "VmData:")];

fn left_of(limits: &str, status: &str) -> Option<u64> {
    let left = |(limited, taken): &(&str, &str)| {
        let limit = soft(limits, limited)?;
        Some(limit.saturating_sub(kibibytes(status, taken)? * 1024))
    };
    LIMITED.iter().filter_map(left).min()
}

fn least_limit(limits: &str) -> Option<u64> {
    LIMITED.iter().filter_map(|(limited, _)| soft(limits, limited)).min()
}

/// A soft limit of `/proc/self/limits`, where there is one.
fn soft(limits: &str, what: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(what))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A figure of `/proc/self/status`.
fn kibibytes(status: &str, what: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_least_limit_counts() {
        let text = |space: &str, data: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max data size             {data}            unlimited            bytes     \n\
                 Max stack size            8388608              unlimited            bytes     \n\
                 Max address space         {space}            unlimited            bytes     \n"
            )
        };
        assert_eq!(super::least_limit(&text("unlimited", "unlimited")), None);
        assert_eq!(super::least_limit(&text("307200000", "unlimited")), Some(307_200_000));
        assert_eq!(super::least_limit(&text("307200000", "1024")), Some(1024));
        assert_eq!(super::least_limit(""), None);
        let status = "VmSize:\t    2048 kB\nVmData:\t     512 kB\n";
        assert_eq!(super::left_of(&text("unlimited", "unlimited"), status), None);
        assert_eq!(super::left_of(&text("3145728", "unlimited"), status), Some(1 << 20));
        assert_eq!(super::left_of(&text("3145728", "524289"), status), Some(1));
        assert_eq!(super::left_of(&text("1024", "unlimited"), status), Some(0));
    }

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
