//! The cache with a compiler that only counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::driver::cache::*;
use crate::options::Options;

/// A folder with a model, and a cache in it.
struct Bench {
    folder: tempfile::TempDir,
    compilations: AtomicUsize,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        fs::write(folder.path().join("net.onnx"), b"not much of a model").expect("written");
        Self {
            folder,
            compilations: AtomicUsize::new(0),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn request(&self) -> Request {
        Request::new(self.path("net.onnx"))
    }

    fn get(&self, request: &Request) -> Entry {
        let cache = Cache::at(self.path("zkiln"));
        let compile = || {
            self.compilations.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(50));
            Ok(Generated {
                name: request.module_name(),
                source: "pub mod net {}".into(),
                commitments: vec![1],
                weights: vec![2; 1000],
            })
        };
        cache.get(request, compile).expect("an entry")
    }

    fn compilations(&self) -> usize {
        self.compilations.load(Ordering::SeqCst)
    }

    /// Makes a file look as if it had been there for an hour, as far as a program can.
    fn age(&self, name: &str) {
        let file = File::options()
            .append(true)
            .open(self.path(name))
            .expect("opened");
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .expect("aged");
    }
}

#[test]
fn an_unchanged_model_is_compiled_once() {
    let bench = Bench::new();
    let entry = bench.get(&bench.request());
    assert_eq!(bench.get(&bench.request()), entry);
    assert_eq!(bench.compilations(), 1);
    assert_eq!(
        fs::read_to_string(entry.source()).expect("a module"),
        "pub mod net {}"
    );
    assert_eq!(
        entry.files,
        [bench.path("net.onnx"), bench.path("net.blinding")]
    );
    let log = fs::read_to_string(bench.path("zkiln/compilations")).expect("a log");
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn whatever_changes_the_result_changes_the_entry() {
    let bench = Bench::new();
    fs::write(bench.path("samples.jsonl"), b"{}").expect("written");
    let named = |name: &str| Options {
        name: Some(name.into()),
        ..Options::default()
    };
    let with = |options| Request {
        options,
        ..bench.request()
    };
    let sampled = Request {
        samples: vec![bench.path("samples.jsonl")],
        ..bench.request()
    };
    let narrow = Options {
        weight_bits: Some(8),
        ..Options::default()
    };
    let requests = [
        bench.request(),
        with(named("other")),
        with(narrow),
        sampled.clone(),
    ];
    let mut entries: Vec<Entry> = requests.iter().map(|request| bench.get(request)).collect();
    fs::write(bench.path("samples.jsonl"), b"{} ").expect("written");
    entries.push(bench.get(&sampled));
    fs::write(bench.path("net.onnx"), b"not much of a model!").expect("written");
    entries.push(bench.get(&bench.request()));
    assert_eq!(bench.compilations(), entries.len());
    for (i, entry) in entries.iter().enumerate() {
        assert!(entries[..i].iter().all(|e| e.directory != entry.directory));
    }
}

#[test]
fn the_default_name_and_the_order_of_dimensions_do_not_matter() {
    let bench = Bench::new();
    let dimensions = |names: [&str; 2]| Request {
        options: Options {
            name: None,
            dimensions: names.map(|name| (name.to_string(), 1)).to_vec(),
            ..Options::default()
        },
        ..bench.request()
    };
    let mut explicit = dimensions(["a", "b"]);
    explicit.options.name = Some("net".into());
    let entry = bench.get(&dimensions(["a", "b"]));
    assert_eq!(bench.get(&dimensions(["b", "a"])), entry);
    assert_eq!(bench.get(&explicit), entry);
    assert_eq!(bench.compilations(), 1);
}

#[test]
fn threads_at_once_compile_once_and_agree() {
    let bench = Bench::new();
    let entries: Vec<Entry> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| bench.get(&bench.request())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(bench.compilations(), 1);
    assert!(
        entries
            .iter()
            .all(|entry| *entry == entries[0] && entry.is_complete())
    );
}

#[test]
fn without_locks_threads_still_agree() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("zkiln")).expect("made");
    // A file where the directory of locks should be: no process can take one.
    fs::write(bench.path("zkiln/locks"), b"").expect("written");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(bench.get(&bench.request()).is_complete()));
        }
    });
    let left = fs::read_dir(bench.path("zkiln")).expect("listed");
    let names: Vec<String> = left
        .map(|file| {
            file.expect("listed")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert!(
        names.iter().all(|name| !name.starts_with("aside")),
        "{names:?}"
    );
}

#[test]
fn a_damaged_entry_is_made_anew() {
    let bench = Bench::new();
    let entry = bench.get(&bench.request());
    fs::remove_file(entry.directory.join("net.weights")).expect("removed");
    assert_eq!(bench.get(&bench.request()), entry);
    assert!(entry.is_complete());
    assert_eq!(bench.compilations(), 2);
}

#[test]
fn errors_are_not_kept() {
    let bench = Bench::new();
    let cache = Cache::at(bench.path("zkiln"));
    let refuse = || Err(CompileError::Samples("no".into()));
    for _ in 0..2 {
        assert!(matches!(
            cache.get(&bench.request(), refuse),
            Err(CompileError::Samples(_))
        ));
    }
    let missing = Request::new(bench.path("missing.onnx"));
    assert!(matches!(
        cache.get(&missing, refuse),
        Err(CompileError::Read { .. })
    ));
    bench.get(&bench.request());
}

#[test]
fn stamps_hold_until_a_file_changes() {
    let bench = Bench::new();
    bench.age("net.onnx");
    let files = [bench.path("net.onnx")];
    let soon = SystemTime::now() + 2 * CLOCK_GRAIN;
    assert!(
        Stamp::new(SystemTime::now(), "k", &files).is_none() || !cfg!(unix),
        "just changed"
    );
    let stamp = Stamp::new(soon, "k", &files).expect("settled");
    stamp.write(&bench.path("stamp"), &bench.path("aside"));
    let stamp = Stamp::read(&bench.path("stamp")).expect("written");
    assert!(stamp.holds());
    // Same length, same time of modification.
    fs::write(bench.path("net.onnx"), b"not much of a MODEL").expect("written");
    bench.age("net.onnx");
    assert!(!stamp.holds());
    fs::remove_file(bench.path("net.onnx")).expect("removed");
    assert!(!stamp.holds());
}

#[test]
fn the_target_directory_is_found() {
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name);
    let find = |set: &[(&str, PathBuf)], arguments: &[&str]| {
        let variable = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone().into_os_string())
        };
        let arguments = arguments.iter().map(|&text| path(text).into()).collect();
        target_directory(variable, arguments)
    };
    fs::create_dir_all(path("work/target/debug/build/net-1/out")).expect("made");
    fs::create_dir_all(path("work/net")).expect("made");
    fs::create_dir_all(path("elsewhere/debug/deps")).expect("made");
    let manifest = ("CARGO_MANIFEST_DIR", path("work/net"));
    let out = ("OUT_DIR", path("work/target/debug/build/net-1/out"));
    let chosen = ("CARGO_TARGET_DIR", path("chosen"));
    assert_eq!(
        find(std::slice::from_ref(&manifest), &[]),
        path("work/target")
    );
    assert_eq!(
        find(&[manifest.clone(), chosen.clone()], &[]),
        path("chosen")
    );
    assert_eq!(
        find(&[("CARGO_MANIFEST_DIR", path("alone"))], &[]),
        path("alone/target")
    );
    fs::write(path("work/target/CACHEDIR.TAG"), b"").expect("written");
    assert_eq!(find(&[out, chosen], &[]), path("work/target"));
    fs::write(path("elsewhere/CACHEDIR.TAG"), b"").expect("written");
    let output = path("elsewhere/debug/deps").display().to_string();
    let rustc =
        |name: &str| (name == "CARGO_MANIFEST_DIR").then(|| path("work/net").into_os_string());
    assert_eq!(
        target_directory(
            rustc,
            vec!["rustc".into(), "--out-dir".into(), output.into()]
        ),
        path("elsewhere")
    );
}
