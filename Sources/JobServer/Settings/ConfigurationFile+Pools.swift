import JSON
import JobCore
import Yams

/// Reads `pools`: how many processes, and the programs that stay.
extension ConfigurationFile {
  private static let ownKeys = ["processes", "start_method", "maxtasksperchild", "ready_timeout"]
  private static let workerKeys = [
    "worker", "directory", "environment", "inherit", "initializer", "initargs", "allow_pickle",
    "allow_main", "max_arguments", "output", "log",
  ]

  func readPools(_ node: Node, into settings: inout Settings) throws(SettingError) {
    guard let mapping = node.mapping else {
      throw error(at: node, "pools: expected names, like 'default: { processes: 2 }'")
    }
    for (key, value) in mapping {
      let name = try poolName(key)
      var pool = settings.pools.first { $0.name == name } ?? Settings.Pool(name: name)
      try readPool(value, into: &pool)
      if let index = settings.pools.firstIndex(where: { $0.name == name }) {
        settings.pools[index] = pool
      } else {
        settings.pools.append(pool)
      }
    }
  }

  private func readPool(_ node: Node, into pool: inout Settings.Pool) throws(SettingError) {
    if node.scalar?.string == "" { return }
    guard let mapping = node.mapping else {
      throw error(at: node, "expected a pool's settings, like '{ processes: 2 }'")
    }
    if let worker = mapping["worker"] {
      let entries = try list(worker, of: "worker")
      guard entries.first?.text.isEmpty == false else {
        throw error(at: worker, "worker: the program to run is missing")
      }
      if let entry = entries.first(where: { $0.text.utf8.contains(0) }) {
        throw error(at: entry.node, "worker: a NUL cannot be part of an argument")
      }
      pool.worker = WorkerProgramSettings(arguments: entries.map(\.text))
    }
    for (key, value) in mapping {
      let name = key.scalar?.string ?? ""
      if Self.workerKeys.contains(name) {
        guard var worker = pool.worker else {
          try readInitializer(name, value, at: key, into: &pool)
          continue
        }
        try readWorker(name, value, into: &worker)
        pool.worker = worker
        continue
      }
      guard Self.ownKeys.contains(name) else {
        throw unknown(key, "a pool has", Self.ownKeys + Self.workerKeys)
      }
      let text = try scalar(value, of: name)
      try naming(name, value) { () throws(Setting.InvalidValue) in
        switch name {
        case "processes": pool.processes = try Setting.processes(text)
        case "start_method" where pool.worker == nil:
          pool.startMethod = try Setting.startMethod(text)
        case "start_method":
          throw Setting.InvalidValue(reason: "a pool with 'worker' has none: it runs a program")
        case "ready_timeout":
          pool.readyTimeout = try Setting.milliseconds(text, atLeast: 10)
        default: pool.maxTasksPerChild = try Setting.maxTasksPerChild(text)
        }
      }
    }
  }

  /// Reads what a pool of this program's own workers has in common with one of another program.
  private func readInitializer(
    _ name: String, _ node: Node, at key: Node, into pool: inout Settings.Pool
  ) throws(SettingError) {
    switch name {
    case "initializer":
      let text = try scalar(node, of: name)
      guard !text.isEmpty else { throw error(at: node, "initializer: empty; a name is expected") }
      pool.initializer = text
      pool.initializerPlace = place(of: node)
    case "initargs": pool.initializerArguments = try initargs(node)
    default: throw error(at: key, "\(name): only a pool with 'worker' has it")
    }
  }

  private func initargs(_ node: Node) throws(SettingError) -> String {
    guard node.sequence != nil, let text = OpenAPIDocument.json(of: node) else {
      throw error(at: node, "initargs: expected a list, like [1, \"two\"]")
    }
    return text
  }

  private func readWorker(
    _ name: String, _ node: Node, into worker: inout WorkerProgramSettings
  ) throws(SettingError) {
    switch name {
    case "worker": return
    case "environment":
      worker.environment = try variables(node, not: WorkerProgramSettings.ownVariables)
    case "inherit":
      let entries = try list(node, of: name)
      for entry in entries {
        try check(variable: entry.text, at: entry.node, not: WorkerProgramSettings.ownVariables)
      }
      worker.inherited = entries.map(\.text)
    case "initargs": worker.initializerArguments = try initargs(node)
    default:
      let text = try scalar(node, of: name)
      try naming(name, node) { () throws(Setting.InvalidValue) in
        try readWorkerScalar(name, text, into: &worker)
      }
      if name == "output" { worker.outputPlace = place(of: node) }
    }
  }

  private func readWorkerScalar(
    _ name: String, _ text: String, into worker: inout WorkerProgramSettings
  ) throws(Setting.InvalidValue) {
    switch name {
    case "directory": worker.directory = try Setting.path(text)
    case "initializer":
      guard !text.isEmpty else {
        throw Setting.InvalidValue(reason: "empty; a function like 'module:name' is expected")
      }
      worker.initializer = text
    case "allow_pickle": worker.allowsPickle = try Setting.truth(text)
    case "allow_main": worker.allowsMain = try Setting.truth(text)
    case "max_arguments": worker.argumentBytesMax = try Setting.bytes(text, in: 2...(1 << 30))
    case "output": worker.outputBytesMax = try Setting.bytes(text, in: 1...(1 << 30))
    default:
      worker.logBytesMax = try Setting.bytes(text, in: 2...ProgramSettings.logBytesBound)
    }
  }
}
