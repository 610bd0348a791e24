import JobCore
import JobStorage
import Multiprocessing

/// Everything that an operator can choose, after flags, environment, file and defaults were joined.
struct Settings: Equatable, Sendable {
  /// One pool of the service.
  struct Pool: Equatable, Sendable {
    var name: String
    /// Workers; nil: as many as this process may use CPUs.
    var processes: Int?
    var startMethod = StartMethod.forkserver
    /// Calls after which a worker is replaced; nil: never.
    var maxTasksPerChild: Int?
    /// Whether it runs a program for each job, instead of keeping workers.
    var runsPrograms = false
    /// The program that its workers are; nil: they are this one.
    var worker: WorkerProgramSettings?
    /// The initializer of this program that each worker runs before its first call.
    var initializer: String?
    /// What that is called with, a JSON array.
    var initializerArguments = "[]"
    /// Where it is named.
    var initializerPlace = ""
    /// How long a worker has until it is ready, its initializer included: from its start, one of
    /// this program from when it has said hello.
    var readyTimeout: Milliseconds = 60_000
    /// The configured pool after which it was created; nil: it is configured itself.
    var template: String?
    /// Whether all workers must be ready for it to be there at all.
    var startsWhole = false

    /// Whether a text can be a pool's name: it is part of paths.
    static func isName(_ text: String) -> Bool {
      !text.isEmpty && text.utf8.count <= 64 && text != "." && text != ".."
        && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
    }

    /// The name of the configured pool whose kind it has: itself, or its template.
    var kind: String { template ?? name }
  }

  var host = "127.0.0.1"
  var port = 8080
  var directory = "./lido-data"
  var configFile: String?
  var portFile: String?
  /// A file with tokens; `LIDO_TOKENS` may give more.
  var tokenFile: String?
  /// Whether others may be let in without a token.
  var isInsecure = false
  /// Whether values may travel in the pickle of Python, in pools that allow it.
  var allowsPickle = false
  var sync = SyncPolicy.every(milliseconds: 50)
  var snapshotInterval: Milliseconds = 60_000
  var bodyBytesMax = 8 << 20
  /// Connections at once; fewer if the limit of open files leaves fewer.
  var connectionsMax = 16_384
  /// Bytes of a request line and its header.
  var headerBytesMax = 8 << 10
  var headerTimeout: Milliseconds = 10_000
  var bodyTimeout: Milliseconds = 60_000
  var shutdownGrace: Milliseconds = 8_000
  var logLevel = "info"
  var logFormat = LogFormat.text
  var limits = Limits()
  var pools = [Pool(name: "default")]
  var tasks: [TaskSettings] = []

  /// What submissions to the pools may have, by the name of the pool.
  var poolRules: [String: PoolRule] {
    var rules: [String: PoolRule] = [:]
    for pool in pools {
      guard let worker = pool.worker else { continue }
      rules[pool.name] = PoolRule(
        allowsPickle: worker.allowsPickle && allowsPickle, allowsMain: worker.allowsMain,
        argumentBytesMax: worker.argumentBytesMax)
    }
    return rules
  }

  /// Refuses an initializer of a pool that no worker could run.
  ///
  /// - Parameter known: those that this program was written with.
  func checkInitializers(known: Set<String>) throws(SettingError) {
    for pool in pools {
      guard let name = pool.initializer, !known.contains(name) else { continue }
      let names = PoolAnswers.list(ofInitializers: known)
      throw SettingError(
        source: pool.initializerPlace,
        reason: "initializer: this program has none of the name '\(name)' (it has: \(names))")
    }
  }

  /// What a created pool is to be, where its template is configured; nil: it is not (any more).
  ///
  /// - Parameter startsWhole: whether it is not there at all if a worker cannot be made ready.
  func pool(
    of specification: PoolSpecification, processes: Int, startsWhole: Bool
  ) -> Pool? {
    guard var pool = pools.first(where: { $0.name == specification.template }) else { return nil }
    pool.template = pool.name
    pool.name = specification.name
    pool.processes = processes
    pool.maxTasksPerChild = specification.callsPerWorkerMax
    pool.startsWhole = startsWhole
    if let method = specification.startMethod.flatMap(StartMethod.init(rawValue:)) {
      pool.startMethod = method
    }
    if let initializer = specification.initializer {
      // One of this program's, or of the other program that its workers are.
      if pool.worker == nil {
        pool.initializer = initializer
        pool.initializerArguments = specification.initializerArguments
      }
      pool.worker?.initializer = initializer
      pool.worker?.initializerArguments = specification.initializerArguments
    }
    pool.worker?.main = specification.main
    // What the configuration does not allow any more is not allowed.
    if !specification.allowsPickle { pool.worker?.allowsPickle = false }
    return pool
  }

  /// The pool that the top-level keys `processes`, `start_method` and `maxtasksperchild` speak of.
  var defaultPool: Pool {
    get { pools.first { $0.name == "default" } ?? Pool(name: "default") }
    set {
      if let index = pools.firstIndex(where: { $0.name == "default" }) {
        pools[index] = newValue
      } else {
        pools.insert(newValue, at: 0)
      }
    }
  }
}

/// A value that cannot be used: what it is, where it came from, what would be right.
struct SettingError: Error, Equatable, CustomStringConvertible {
  /// Where the value stands: `--sync`, `LIDO_SYNC`, `lido.yaml:3`.
  var source: String
  /// The sentence.
  var reason: String

  var description: String { "\(source): \(reason)" }
}
