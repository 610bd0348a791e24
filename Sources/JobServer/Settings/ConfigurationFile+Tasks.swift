import JobCore
import Multiprocessing
import Yams

/// Reads `tasks`: programs that are tasks, and the limits of any task.
extension ConfigurationFile {
  private static let limitKeys = ["timeout", "cpu", "memory", "open_files", "output"]
  private static let programKeys = [
    "exec", "pool", "result", "content_type", "stdin", "environment", "inherit", "log",
  ]

  func readTasks(_ node: Node, into settings: inout Settings) throws(SettingError) {
    guard let mapping = node.mapping else {
      throw error(at: node, "tasks: expected names, like 'thumbnail: { exec: [convert, …] }'")
    }
    for (key, value) in mapping {
      let name = key.scalar?.string ?? ""
      guard (1...200).contains(name.utf8.count) else {
        throw error(at: key, "a task's name has 1 to 200 bytes")
      }
      guard !settings.tasks.contains(where: { $0.name == name }) else {
        throw error(at: key, "the task '\(name)' stands there twice")
      }
      settings.tasks.append(try readTask(name, at: key, value))
    }
  }

  private func readTask(
    _ name: String, at place: Node, _ node: Node
  ) throws(SettingError) -> TaskSettings {
    guard let mapping = node.mapping else {
      throw error(at: node, "\(name): expected a task's settings, like '{ timeout: 30 }'")
    }
    var task = TaskSettings(name: name, place: self.place(of: place))
    if let exec = mapping["exec"] {
      task.program = try program(exec, mapping["stdin"])
    }
    for (key, value) in mapping {
      let name = key.scalar?.string ?? ""
      if Self.limitKeys.contains(name) {
        try readLimit(name, value, into: &task)
      } else if Self.programKeys.contains(name) {
        guard task.program != nil else {
          throw error(at: key, "\(name): only a task with 'exec' has it")
        }
        try readProgram(name, value, mapping, into: &task)
      } else {
        throw unknown(key, "a task has", Self.programKeys + Self.limitKeys)
      }
    }
    if mapping["content_type"] != nil,
      task.program?.result == .json || task.program?.result == .text
    {
      throw error(at: node, "content_type: only a task with 'result: bytes' has it")
    }
    return task
  }

  private func readLimit(
    _ name: String, _ node: Node, into task: inout TaskSettings
  ) throws(SettingError) {
    let text = try scalar(node, of: name)
    try naming(name, node) { () throws(Setting.InvalidValue) in
      switch name {
      case "timeout": task.timeout = try Setting.milliseconds(text, atLeast: 1)
      case "cpu":
        task.cpuMicroseconds = UInt64(try Setting.milliseconds(text, atLeast: 10)) * 1_000
      case "memory":
        task.memoryBytes = UInt64(try Setting.bytes(text, in: 1 << 20...Quantity.bytesMax))
      case "open_files": task.openFilesMax = UInt64(try Setting.count(text, in: 8...1_000_000))
      default:
        task.outputBytesMax = try Setting.bytes(text, in: 1...(1 << 30))
        task.outputPlace = place(of: node)
      }
    }
  }

  private func readProgram(
    _ name: String, _ node: Node, _ task: Node.Mapping, into settings: inout TaskSettings
  ) throws(SettingError) {
    switch name {
    case "exec", "stdin": break
    case "pool":
      let name = try poolName(node)
      guard name != "default" else {
        throw error(
          at: node, "the pool 'default' runs this program's own tasks; name another for programs")
      }
      settings.program?.pool = name
    case "result": settings.program?.result = try result(node, task["content_type"])
    case "content_type":
      guard task["result"] != nil else {
        throw error(at: node, "content_type: only a task with 'result: bytes' has it")
      }
    case "environment":
      settings.program?.environment = try variables(node, not: ProgramSettings.ownVariables)
    case "inherit":
      settings.program?.inherited = try list(node, of: "inherit").map(\.text)
      for item in try list(node, of: "inherit") {
        try check(variable: item.text, at: item.node, not: ProgramSettings.ownVariables)
      }
    default:
      let text = try scalar(node, of: name)
      try naming(name, node) { () throws(Setting.InvalidValue) in
        settings.program?.logBytesMax = try Setting.bytes(
          text, in: 2...ProgramSettings.logBytesBound)
      }
    }
  }

  // MARK: Parts of programs

  /// The program with what it gets from a job: its arguments and its input.
  private func program(_ exec: Node, _ stdin: Node?) throws(SettingError) -> ProgramSettings {
    var entries = try list(exec, of: "exec")
    var input = ProgramSettings.Input.arguments
    if let stdin {
      let text = try scalar(stdin, of: "stdin")
      switch text {
      case "arguments": break
      case "none": input = .nothing
      default:
        input = .lastArgument
        entries.append((text, stdin))
      }
    }
    let template: ArgumentTemplate
    do throws(ArgumentTemplateError) {
      template = try ArgumentTemplate(entries.map(\.text), isOnInput: input == .arguments)
    } catch {
      let isOfInput = input == .lastArgument && error.entry == entries.count - 1
      let place = entries.indices.contains(error.entry) ? entries[error.entry].node : exec
      throw self.error(at: place, "\(isOfInput ? "stdin" : "exec"): \(error)")
    }
    if let stdin, input == .lastArgument, !template.hasPlaceholders(in: entries.count - 1) {
      throw error(
        at: stdin, "stdin: expected arguments, none, or a text with a placeholder like {0}")
    }
    return ProgramSettings(entries.first?.text ?? "", arguments: template, input: input)
  }

  private func result(
    _ node: Node, _ contentType: Node?
  ) throws(SettingError) -> ProgramSettings.Result {
    switch try scalar(node, of: "result") {
    case "json": return .json
    case "text": return .text
    case "bytes":
      guard let contentType else { return .bytes(contentType: "application/octet-stream") }
      let text = try scalar(contentType, of: "content_type")
      guard MediaType.isWellFormed(text) else {
        throw error(at: contentType, "content_type: '\(text)' is no media type like image/png")
      }
      return .bytes(contentType: text)
    case let other:
      throw error(at: node, "result: '\(other)' is not one of json, text, bytes")
    }
  }

  /// The variables of a mapping, none of them one of those that the service sets.
  func variables(_ node: Node, not own: [String]) throws(SettingError) -> [String: String] {
    guard let mapping = node.mapping else {
      throw error(at: node, "environment: expected variables, like '{ LANG: C.UTF-8 }'")
    }
    var variables: [String: String] = [:]
    for (key, value) in mapping {
      let name = key.scalar?.string ?? ""
      try check(variable: name, at: key, not: own)
      guard let text = value.scalar?.string, !text.utf8.contains(0) else {
        throw error(at: value, "environment: \(name): expected a text")
      }
      variables[name] = text
    }
    return variables
  }

  /// Refuses what is no variable's name, or one of those that the service sets.
  func check(variable name: String, at node: Node, not own: [String]) throws(SettingError) {
    let isName =
      !name.isEmpty && name.first?.isNumber == false
      && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
    guard isName else {
      throw error(at: node, "'\(name)' is not a variable's name: letters, digits and _")
    }
    guard !own.contains(name) else {
      let list = own.joined(separator: ", ")
      throw error(at: node, "'\(name)' is a variable that the service sets by itself, like \(list)")
    }
  }

  /// The texts of a list, with their places.
  func list(
    _ node: Node, of key: String
  ) throws(SettingError) -> [(text: String, node: Node)] {
    guard let sequence = node.sequence else {
      let example =
        switch key {
        case "worker": "[python3, -m, lido.worker, mytasks]"
        case "inherit": "[HOME, TZ]"
        default: "[convert, \"{0}\", out.png]"
        }
      throw error(at: node, "\(key): expected a list, like \(example)")
    }
    var entries: [(text: String, node: Node)] = []
    for entry in sequence {
      guard let text = entry.scalar?.string else {
        throw error(at: entry, "\(key): expected texts only")
      }
      entries.append((text, entry))
    }
    return entries
  }
}

/// The pools of programs.
extension Settings {
  /// Makes the pools that programs name and that are not configured, and marks all of those.
  ///
  /// - Parameter place: where a pool is configured.
  /// - Throws: the reason, if a pool is to run programs and cannot.
  mutating func settlePools(_ place: (String) -> String) throws(SettingError) {
    for task in tasks {
      guard let name = task.program?.pool else { continue }
      if let index = pools.firstIndex(where: { $0.name == name }) {
        pools[index].runsPrograms = true
      } else {
        var pool = Pool(name: name)
        pool.runsPrograms = true
        pools.append(pool)
      }
    }
    for pool in pools where pool.runsPrograms && pool != pool.withProgramsOnly {
      throw SettingError(
        source: place(pool.name),
        reason: """
          the pool '\(pool.name)' runs programs, one process for each job: start_method, \
          maxtasksperchild, ready_timeout, initializer and worker have no meaning there
          """)
    }
  }
}

extension Settings.Pool {
  fileprivate var withProgramsOnly: Settings.Pool {
    var pool = Settings.Pool(name: name)
    pool.processes = processes
    pool.runsPrograms = runsPrograms
    return pool
  }
}
