//! Kernels on the CPU: the files of this folder compiled by g++ against
//! `tests/cuda/emulation.h`, behind the same [`Queue`] as the driver.
//!
//! Memory lies between guards that are looked at when it is given back, and
//! holds NaN before it is written. See the header for what the two modes find.

#![allow(unsafe_code, reason = "a shared library is loaded and called")]
#![allow(clippy::print_stderr, reason = "a test says what it could not do")]

use std::{
    alloc::{Layout, alloc, dealloc},
    collections::BTreeMap,
    ffi::{CStr, CString, c_char, c_int, c_void},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use sha2::{Digest, Sha256};

use super::sources::{HEADER, KernelSource, SOURCES, options};
use crate::engine::cuda::{self, CudaError, Gpu, GpuPrecision, Launch, Queue, Recorded, devices};

/// Which order the threads run in, of all that hardware might choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In order; copies as late as may be.
    Forward,
    /// In reverse; copies at once.
    Backward,
}

/// Bytes before and behind each allocation, all ones: NaN in every format.
const GUARD: usize = 4096;

/// A queue that runs at once, on this thread.
pub struct Emulated {
    mode: Mode,
    precision: GpuPrecision,
    taken: Mutex<BTreeMap<u64, usize>>,
    /// Bytes that may be taken.
    limit: usize,
}

/// A queue on the first GPU, where there is one: tests then run on it as well.
/// Says once where there is none; with HIWL_GPU_ONLY that fails the test.
pub fn gpu(precision: GpuPrecision) -> Option<Arc<dyn Queue>> {
    static GPUS: [OnceLock<Option<Gpu>>; 2] = [OnceLock::new(), OnceLock::new()];
    let gpu = GPUS[usize::from(precision == GpuPrecision::F32)].get_or_init(|| {
        if devices() == 0 {
            let only = std::env::var_os("HIWL_GPU_ONLY").is_some();
            assert!(!only, "HIWL_GPU_ONLY: {:?}", cuda::open(0, precision).err());
            eprintln!("no GPU: {precision:?} is tested on the emulated device alone");
            return None;
        }
        let gpu = cuda::open(0, precision).expect("a GPU that can be used");
        eprintln!("{precision:?} is tested on {} too", gpu.description);
        Some(gpu)
    });
    gpu.as_ref().map(|gpu| gpu.queue().expect("a stream"))
}

impl Emulated {
    /// A device of its own.
    pub fn queue(precision: GpuPrecision, mode: Mode) -> Arc<dyn Queue> {
        Self::with_memory(precision, mode, usize::MAX)
    }

    /// One with so much memory.
    pub fn with_memory(precision: GpuPrecision, mode: Mode, limit: usize) -> Arc<dyn Queue> {
        Arc::new(Self { mode, precision, taken: Mutex::default(), limit })
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That a copy or a fill stays inside one allocation.
    fn check(&self, at: u64, bytes: usize) {
        let taken = self.taken();
        let (from, size) = taken.range(..=at).next_back().expect("an address of no buffer");
        assert!(at + bytes as u64 <= from + *size as u64, "beyond the end of a buffer");
    }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.next_multiple_of(256) + 2 * GUARD, 256).unwrap()
}

impl Queue for Emulated {
    fn allocate(&self, bytes: usize) -> Result<u64, CudaError> {
        let mut taken = self.taken();
        if taken.values().sum::<usize>().saturating_add(bytes) > self.limit {
            return Err(CudaError::OutOfMemory { bytes });
        }
        let layout = layout(bytes);
        // SAFETY: of a size that is not zero, and written before it is read.
        let address = unsafe {
            let start = alloc(layout);
            assert!(!start.is_null());
            start.write_bytes(0xff, layout.size());
            start.add(GUARD) as u64
        };
        taken.insert(address, bytes);
        Ok(address)
    }

    fn free(&self, address: u64) {
        let bytes = self.taken().remove(&address).expect("taken, and given back once");
        let layout = layout(bytes);
        // SAFETY: allocated with this layout above, and all of it written.
        let intact = unsafe {
            let start = (address as *mut u8).sub(GUARD);
            let all = std::slice::from_raw_parts(start, layout.size());
            let intact = all[..GUARD].iter().chain(&all[GUARD + bytes..]).all(|b| *b == 0xff);
            dealloc(start, layout);
            intact
        };
        if !std::thread::panicking() {
            assert!(intact, "a kernel wrote outside a buffer of {bytes} bytes");
        }
    }

    fn allocate_host(&self, bytes: usize) -> Result<*mut u8, CudaError> {
        Ok(self.allocate(bytes)? as *mut u8)
    }

    fn free_host(&self, address: *mut u8) {
        self.free(address as u64);
    }

    unsafe fn upload(&self, to: u64, from: *const u8, bytes: usize) -> Result<(), CudaError> {
        self.check(to, bytes);
        // SAFETY: the caller's promise.
        unsafe { (to as *mut u8).copy_from(from, bytes) };
        Ok(())
    }

    unsafe fn download(&self, to: *mut u8, from: u64, bytes: usize) -> Result<(), CudaError> {
        self.check(from, bytes);
        // SAFETY: the caller's promise.
        unsafe { to.copy_from(from as *const u8, bytes) };
        Ok(())
    }

    fn fill(&self, at: u64, bytes: usize, value: u8) -> Result<(), CudaError> {
        self.check(at, bytes);
        // SAFETY: inside a buffer.
        unsafe { (at as *mut u8).write_bytes(value, bytes) };
        Ok(())
    }

    fn launch(&self, launch: &Launch, arguments: &[u64]) -> Result<(), CudaError> {
        let Launch { kernel, grid, block, shared } = launch;
        assert!(*shared <= 96 << 10, "{kernel}: more shared memory than any GPU has");
        assert!(grid[1] <= 65_535 && grid[2] <= 65_535, "{kernel}: a grid too high");
        let entry = entry(self.precision, kernel)?;
        let mut pointers: Vec<*const u64> = arguments.iter().map(std::ptr::from_ref).collect();
        // SAFETY: the entry takes its kernel's arguments, whose buffers are
        // the caller's to choose.
        unsafe {
            entry(
                grid.as_ptr(),
                block.as_ptr(),
                *shared,
                pointers.as_mut_ptr().cast(),
                (self.mode == Mode::Backward).into(),
            );
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), CudaError> {
        Ok(())
    }

    fn record(
        &self,
        _work: &mut dyn FnMut() -> Result<(), CudaError>,
    ) -> Result<Option<Box<dyn Recorded>>, CudaError> {
        Ok(None)
    }
}

type Entry = unsafe extern "C" fn(*const u32, *const u32, usize, *mut *mut c_void, c_int);

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// The function that runs a kernel.
fn entry(precision: GpuPrecision, kernel: &str) -> Result<Entry, CudaError> {
    static LIBRARIES: [OnceLock<BTreeMap<&str, usize>>; 2] = [OnceLock::new(), OnceLock::new()];
    let libraries = &LIBRARIES[usize::from(precision == GpuPrecision::F32)];
    let entries = libraries.get_or_init(|| {
        let sources: Vec<_> = SOURCES.iter().filter(|source| source.serves(precision)).collect();
        let libraries = build(&sources, precision);
        let pairs = sources.iter().zip(&libraries);
        pairs.flat_map(|(source, path)| open(path, source.kernels)).collect()
    });
    let Some(entry) = entries.get(kernel) else {
        return Err(CudaError::NoKernel(kernel.to_owned()));
    };
    // SAFETY: found under a name whose type the text below gives.
    Ok(unsafe { std::mem::transmute::<usize, Entry>(*entry) })
}

/// Loads a library for good.
fn open(path: &Path, kernels: &[&'static str]) -> Vec<(&'static str, usize)> {
    const RTLD_NOW: c_int = 2;
    let file = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: a library that this program has built; the strings end with 0.
    unsafe {
        let library = dlopen(file.as_ptr(), RTLD_NOW);
        assert!(!library.is_null(), "{:?}", CStr::from_ptr(dlerror()));
        let find = |kernel: &&'static str| {
            let name = CString::new(format!("emulate_{kernel}")).unwrap();
            let entry = dlsym(library, name.as_ptr());
            assert!(!entry.is_null(), "{kernel}");
            (*kernel, entry as usize)
        };
        kernels.iter().map(find).collect()
    }
}

/// Compiles files that have changed since they were last compiled, two at a
/// time; returns a library for each.
fn build(sources: &[&KernelSource], precision: GpuPrecision) -> Vec<PathBuf> {
    // Cargo says where; a test program that was carried elsewhere is told.
    let root = std::env::var_os("CARGO_MANIFEST_DIR");
    let root = root.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&root);
    let folder = root.join("target/cuda-emulation");
    fs::create_dir_all(&folder).unwrap();
    let header = fs::read_to_string(root.join("tests/cuda/emulation.h")).unwrap();
    let next = Mutex::new(sources.iter());
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(source) = next.lock().unwrap().next() else { break };
                    let library = compile(root, &folder, &header, source, precision);
                    done.lock().unwrap().insert(source.file, library);
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    sources.iter().map(|source| done.remove(source.file).expect("compiled above")).collect()
}

fn compile(
    root: &Path,
    folder: &Path,
    header: &str,
    source: &KernelSource,
    precision: GpuPrecision,
) -> PathBuf {
    use std::fmt::Write as _;
    let mut text = format!("#include \"{}\"\n", source.file);
    for kernel in source.kernels {
        writeln!(
            text,
            "extern \"C\" __attribute__((visibility(\"default\"))) void emulate_{kernel}(const \
             unsigned *grid, const unsigned *size, size_t shared, void **arguments, int mode) \
             {{ emu::launch(&{kernel}, grid, size, shared, arguments, mode); }}"
        )
        .unwrap();
    }
    let of_gpu = |option: &&str| !option.starts_with("--ftz");
    let mut flags: Vec<&str> = options(precision).into_iter().filter(of_gpu).collect();
    flags.extend(["-O1", "-fPIC", "-shared", "-fvisibility=hidden", "-U_FORTIFY_SOURCE"]);
    flags.extend(["-Wall", "-Werror", "-Wno-unknown-pragmas", "-DHIWL_EMULATED", "-x", "c++"]);
    let digest = Sha256::digest(
        [&text, source.text, HEADER.1, header, &flags.join(" ")].join("\n").as_bytes(),
    );
    let stem = source.file.trim_end_matches(".cu");
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let library = folder.join(format!("{stem}-{digest}.so"));
    if library.exists() {
        return library;
    }
    let unit = folder.join(format!("{stem}-{digest}-{}.cpp", std::process::id()));
    let unfinished = unit.with_extension("so");
    fs::write(&unit, text).unwrap();
    let output = Command::new("g++")
        .args(flags)
        .arg("-I")
        .arg(root.join("src/engine/cuda/kernels"))
        .arg("-I")
        .arg(root.join("tests/cuda"))
        .arg(&unit)
        .arg("-o")
        .arg(&unfinished)
        .output()
        .expect("g++ is installed");
    assert!(
        output.status.success(),
        "{}: {}",
        source.file,
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&unfinished, &library).unwrap();
    fs::remove_file(&unit).unwrap();
    library
}
