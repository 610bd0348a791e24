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
      let names = known.isEmpty ? "none" : known.sorted().joined(separator: ", ")
      throw SettingError(
        source: pool.initializerPlace,
        reason: "initializer: this program has none of the name '\(name)' (it has: \(names))")
    }
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
