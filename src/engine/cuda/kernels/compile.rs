//! Kernels from text to the device's own code, by libnvrtc, and kept on disk.
//!
//! Binaries are made for exactly the device at hand and not as PTX, so that the
//! driver compiles nothing more, and a compiler newer than the driver does not
//! matter. They are kept under `$XDG_CACHE_HOME/hiwl/cuda`, by the digest of
//! all that decides them; a file under its final name is whole, and one that is
//! not, or that the driver does not take, is made again. The library is looked
//! for in HIWL_NVRTC, where the loader looks, beside the CUDA toolkit, and in the
//! Python environments at hand, since PyTorch brings it; one that is newer than
//! the driver's CUDA is passed over if there is another.

#![allow(unsafe_code, reason = "the compiler's interface is C")]

use std::{
    env,
    ffi::{CString, OsStr, c_char, c_int, c_void},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use libloading::Library;
use sha2::{Digest, Sha256};

use super::sources::{HEADER, KernelSource, options};
use crate::engine::cuda::{CudaError, GpuPrecision};
use crate::storage::{file, sweep};

/// Versions of the library, the one that is asked for first first.
const MAJORS: [u32; 2] = [13, 12];

type Program = *mut c_void;

/// libnvrtc, loaded.
struct Compiler {
    nvrtc: Library,
    version: (c_int, c_int),
}

/// Version of the compiler for a driver whose CUDA is of the major version
/// `newest`: major, minor.
///
/// # Errors
/// [`CudaError::NoCompiler`].
pub fn version(newest: i32) -> Result<(i32, i32), CudaError> {
    Ok(compiler(newest)?.version)
}

/// A file of kernels to be compiled for a device.
pub struct Job<'a> {
    compiler: &'static Compiler,
    source: &'a KernelSource,
    target: String,
    options: Vec<String>,
    kept: Option<PathBuf>,
}

impl<'a> Job<'a> {
    /// Compiles nothing yet. `newest` as in [`version`].
    ///
    /// # Errors
    /// [`CudaError::NoCompiler`].
    pub fn new(
        source: &'a KernelSource,
        precision: GpuPrecision,
        capability: (i32, i32),
        newest: i32,
    ) -> Result<Self, CudaError> {
        let compiler = compiler(newest)?;
        let target = format!("sm_{}{}", capability.0, capability.1);
        let mut options: Vec<String> = options(precision).into_iter().map(str::to_owned).collect();
        options.push(format!("--gpu-architecture={target}"));
        let version = format!("{}.{}", compiler.version.0, compiler.version.1);
        let decides = [HEADER.1, source.text, &options.join(" "), &version];
        let mut digest = Sha256::new();
        for part in decides {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let digest: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let kept = cache().map(|folder| folder.join(format!("{}-{digest}.cubin", source.file)));
        Ok(Self { compiler, source, target, options, kept })
    }

    /// What was compiled before and kept.
    pub fn kept(&self) -> Option<Vec<u8>> {
        let binary = fs::read(self.kept.as_deref()?).ok()?;
        is_whole(&binary).then_some(binary)
    }

    /// Compiles, and keeps the result in place of what was kept.
    ///
    /// # Errors
    /// [`CudaError::Compile`]. A cache that cannot be written costs time only.
    pub fn compile(&self) -> Result<Vec<u8>, CudaError> {
        let binary = self.compiler.compile(self.source, &self.target, &self.options)?;
        if let Some(path) = &self.kept {
            // What does not load must not be found again, and a disk that is
            // full or read-only is no reason to stop.
            let _ = fs::remove_file(path);
            let _ = path.parent().map(fs::create_dir_all);
            // What a process that died was writing goes with the next.
            let _ = path.parent().map(sweep::sweep);
            let _ = file::replace(path, &binary);
        }
        Ok(binary)
    }
}

/// Whether the tables of an ELF file, which the driver follows without knowing
/// where it ends, lie inside it.
fn is_whole(binary: &[u8]) -> bool {
    let number = |at: usize, bytes: usize| {
        let bytes = binary[at..at + bytes].iter().rev();
        bytes.fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    // Program and section headers: where, how large, how many.
    let inside = |(at, size, count)| {
        let bytes = number(size, 2) * number(count, 2);
        number(at, 8).checked_add(bytes).is_some_and(|end| end <= binary.len() as u64)
    };
    binary.len() >= 64
        && binary.starts_with(b"\x7fELF")
        && [(32, 54, 56), (40, 58, 60)].into_iter().all(inside)
}

fn cache() -> Option<PathBuf> {
    let home = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = home("XDG_CACHE_HOME").or_else(|| Some(home("HOME")?.join(".cache")))?;
    Some(base.join("hiwl/cuda"))
}

fn compiler(newest: i32) -> Result<&'static Compiler, CudaError> {
    // A process has one driver, so the first caller's `newest` is everyone's.
    static COMPILER: OnceLock<Result<Compiler, Vec<String>>> = OnceLock::new();
    COMPILER
        .get_or_init(|| find(newest))
        .as_ref()
        .map_err(|searched| CudaError::NoCompiler { searched: searched.clone() })
}

/// Loads the library from the first place that has one for this driver; else
/// one that is too new, so that it is the driver that is found too old.
fn find(newest: i32) -> Result<Compiler, Vec<String>> {
    let mut too_new = None;
    let mut suits = |compiler: Compiler| {
        if compiler.version.0 <= newest {
            return Some(compiler);
        }
        too_new.get_or_insert(compiler);
        None
    };
    let mut searched = Vec::new();
    if let Some(file) = env::var_os("HIWL_NVRTC") {
        let _builtins = Path::new(&file).parent().and_then(builtins);
        return load(&file).ok_or_else(|| vec![file.to_string_lossy().into_owned()]);
    }
    let names = MAJORS.map(|major| format!("libnvrtc.so.{major}"));
    for name in &names {
        if let Some(compiler) = load(OsStr::new(name)).and_then(&mut suits) {
            return Ok(compiler);
        }
    }
    searched.push("the loader's path".to_owned());
    for folder in folders() {
        for name in &names {
            let file = folder.join(name);
            if file.exists() {
                // Its second half is opened by name, which finds it only where
                // the loader looks, or already open.
                let _builtins = builtins(&folder);
                if let Some(compiler) = load(file.as_os_str()).and_then(&mut suits) {
                    return Ok(compiler);
                }
            }
        }
        searched.push(folder.display().to_string());
    }
    too_new.ok_or(searched)
}

/// Opens `libnvrtc-builtins.so.*` of a folder for good.
fn builtins(folder: &Path) -> Option<()> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("libnvrtc-builtins.so.") {
            // SAFETY: loading runs the initialisers of NVIDIA's library.
            let library = unsafe { Library::new(entry.path()) };
            std::mem::forget(library.ok()?);
        }
    }
    Some(())
}

/// Folders beyond the loader's: the toolkit's, and those of Python packages.
fn folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for variable in ["CUDA_HOME", "CUDA_PATH"] {
        if let Some(home) = env::var_os(variable) {
            folders.push(Path::new(&home).join("lib64"));
            folders.push(Path::new(&home).join("lib"));
        }
    }
    for home in ["/usr/local/cuda", "/usr/local/cuda-13.0", "/usr/local/cuda-12"] {
        folders.push(Path::new(home).join("lib64"));
    }
    let mut environments: Vec<PathBuf> = Vec::new();
    for variable in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        environments.extend(env::var_os(variable).map(PathBuf::from));
    }
    // The environment of the `python3` that a shell would find.
    for folder in env::var_os("PATH").iter().flat_map(env::split_paths) {
        if folder.join("python3").exists() {
            environments.extend(folder.parent().map(Path::to_owned));
        }
    }
    for environment in environments {
        let Ok(entries) = fs::read_dir(environment.join("lib")) else { continue };
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with("python3") {
                continue;
            }
            for packages in ["site-packages", "dist-packages"] {
                let nvidia = entry.path().join(packages).join("nvidia");
                folders.push(nvidia.join("cu13/lib"));
                folders.push(nvidia.join("cuda_nvrtc/lib"));
            }
        }
    }
    folders.retain(|folder| folder.is_dir());
    folders
}

fn load(file: &OsStr) -> Option<Compiler> {
    // SAFETY: loading runs the initialisers of NVIDIA's library; the function
    // has this type since its first version.
    unsafe {
        let library = Library::new(file).ok()?;
        let mut version = (0, 0);
        let ask = library
            .get::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>(b"nvrtcVersion")
            .ok()?;
        if ask(&mut version.0, &mut version.1) != 0 {
            return None;
        }
        Some(Compiler { nvrtc: library, version })
    }
}

impl Compiler {
    fn compile(
        &self,
        source: &KernelSource,
        target: &str,
        options: &[String],
    ) -> Result<Vec<u8>, CudaError> {
        let failed = |log: String| CudaError::Compile {
            file: source.file,
            target: target.to_owned(),
            log: log.trim().to_owned(),
        };
        let text = |text: &str| {
            CString::new(text).map_err(|_| failed("a text with a zero in it".to_owned()))
        };
        let (code, file) = (text(source.text)?, text(source.file)?);
        let (header, header_name) = (text(HEADER.1)?, text(HEADER.0)?);
        let options = options.iter().map(|o| text(o)).collect::<Result<Vec<_>, _>>()?;
        let options: Vec<*const c_char> = options.iter().map(|o| o.as_ptr()).collect();
        // SAFETY: types as in nvrtc.h, the same since version 11.1; texts end
        // with zero and outlive the calls; rooms are as large as asked for.
        unsafe {
            let create = self
                .get::<unsafe extern "C" fn(
                    *mut Program,
                    *const c_char,
                    *const c_char,
                    c_int,
                    *const *const c_char,
                    *const *const c_char,
                ) -> c_int>("nvrtcCreateProgram")
                .map_err(failed)?;
            let destroy = self
                .get::<unsafe extern "C" fn(*mut Program) -> c_int>("nvrtcDestroyProgram")
                .map_err(failed)?;
            let compile = self
                .get::<unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int>(
                    "nvrtcCompileProgram",
                )
                .map_err(failed)?;
            let mut program = std::ptr::null_mut();
            let (headers, names) = ([header.as_ptr()], [header_name.as_ptr()]);
            let code = create(
                &mut program,
                code.as_ptr(),
                file.as_ptr(),
                1,
                headers.as_ptr(),
                names.as_ptr(),
            );
            if code != 0 {
                return Err(failed(format!("nvrtcCreateProgram: error {code}")));
            }
            let code = compile(program, options.len() as c_int, options.as_ptr());
            let result = if code == 0 {
                self.output(program, "nvrtcGetCUBINSize", "nvrtcGetCUBIN").map_err(failed)
            } else {
                let log = self.output(program, "nvrtcGetProgramLogSize", "nvrtcGetProgramLog");
                let log = log.map(|log| String::from_utf8_lossy(&log).into_owned());
                Err(failed(log.unwrap_or_else(|error| format!("error {code}; {error}"))))
            };
            destroy(&mut program);
            result
        }
    }

    /// What a pair of functions for size and content gives.
    ///
    /// # Safety
    /// They are such a pair, and the program lives.
    unsafe fn output(&self, program: Program, size: &str, get: &str) -> Result<Vec<u8>, String> {
        // SAFETY: the caller's promise.
        unsafe {
            let size = self.get::<unsafe extern "C" fn(Program, *mut usize) -> c_int>(size)?;
            let get = self.get::<unsafe extern "C" fn(Program, *mut c_char) -> c_int>(get)?;
            let mut bytes = 0;
            if size(program, &mut bytes) != 0 {
                return Err("no size".to_owned());
            }
            let mut room = vec![0u8; bytes];
            match get(program, room.as_mut_ptr().cast()) {
                0 => Ok(room),
                code => Err(format!("error {code}")),
            }
        }
    }

    /// A function of the library.
    ///
    /// # Safety
    /// It has this type.
    unsafe fn get<T: Copy>(&self, name: &str) -> Result<T, String> {
        // SAFETY: the caller's promise.
        unsafe { self.nvrtc.get::<T>(name.as_bytes()) }
            .map(|symbol| *symbol)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cuda::kernels::sources::SOURCES;

    /// Without a compiler on the machine there is nothing to test; CI has one
    /// and says so (`HIWL_NVRTC`).
    #[test]
    #[allow(clippy::print_stderr, reason = "a test says what it could not do")]
    fn every_kernel_compiles_for_ampere_and_hopper() {
        let newest = crate::engine::cuda::driver::newest().unwrap_or(i32::MAX);
        if let Err(error) = version(newest) {
            assert!(env::var_os("HIWL_NVRTC").is_none(), "{error}");
            eprintln!("skipped: {error}");
            return;
        }
        for capability in [(8, 0), (8, 9), (9, 0)] {
            for precision in [GpuPrecision::Bf16, GpuPrecision::F32] {
                for source in SOURCES.iter().filter(|source| source.serves(precision)) {
                    let job = Job::new(source, precision, capability, newest).unwrap();
                    let binary = job.kept().unwrap_or_else(|| job.compile().unwrap());
                    assert!(is_whole(&binary), "{}", source.file);
                    assert!(!is_whole(&binary[..binary.len() / 2]), "{}", source.file);
                    assert!(!is_whole(&binary[..30]) && !is_whole(&[]));
                }
            }
        }
    }
}
