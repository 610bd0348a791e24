import Glibc
import Yams

/// Reads `lido.yaml`: the settings under their keys, and `pools`.
///
/// Everything is refused that is not understood, with file, line and what would be right: a key
/// that is silently ignored is a setting that somebody believes in.
struct ConfigurationFile {
  private let path: String

  /// Reads the file at `path` into `settings`.
  static func read(_ path: String, into settings: inout Settings) throws(SettingError) {
    let file = ConfigurationFile(path: path)
    let text = try file.contents()
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch {
      throw SettingError(source: path, reason: "not valid YAML: \(error)")
    }
    guard let root else { return }
    guard let mapping = root.mapping else {
      throw SettingError(source: path, reason: "expected keys like 'listen: 127.0.0.1:8080'")
    }
    try file.refuseTwice(mapping)
    for (key, value) in mapping {
      try file.read(key, value, into: &settings)
    }
    try settings.settlePools { name in
      let node = mapping["pools"]?.mapping?.first { $0.key.scalar?.string == name }?.key
      return file.place(of: node ?? root)
    }
  }

  /// Refuses a key of the pool `default` that stands at the top as well: one would win, and
  /// somebody believes in the other.
  private func refuseTwice(_ mapping: Node.Mapping) throws(SettingError) {
    guard let pool = mapping["pools"]?.mapping?["default"]?.mapping else { return }
    for setting in [Setting.processes, .startMethod, .maxTasksPerChild] {
      guard let top = mapping[setting.key], let inner = pool[setting.key] else { continue }
      throw error(
        at: top,
        """
        \(setting.key): it is that of the pool 'default', which has one at \(place(of: inner)); \
        leave out one of them
        """)
    }
  }

  private func contents() throws(SettingError) -> String {
    guard let file = fopen(path, "re") else { throw unreadable }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = fread(&buffer, 1, buffer.count, file)
      guard count > 0 else { break }
      bytes += buffer[..<count]
    }
    // A folder can be opened, but not read.
    guard ferror(file) == 0 else { throw unreadable }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw SettingError(source: path, reason: "not UTF-8")
    }
    return text
  }

  /// For the call that has just failed.
  private var unreadable: SettingError {
    SettingError(source: path, reason: "cannot be read: \(String(cString: strerror(errno)))")
  }

  private func read(
    _ key: Node, _ value: Node, into settings: inout Settings
  ) throws(SettingError) {
    let name = key.scalar?.string ?? ""
    if name == "pools" { return try readPools(value, into: &settings) }
    if name == "tasks" { return try readTasks(value, into: &settings) }
    guard let setting = Setting.allCases.first(where: { $0.key == name }), setting != .config
    else {
      let known = Setting.allCases.filter { $0 != .config }.map(\.key) + ["pools", "tasks"]
      throw unknown(key, "the keys are:", known)
    }
    let text = try scalar(value, of: name)
    do {
      try setting.read(text, into: &settings)
    } catch {
      throw self.error(at: value, "\(name): \(error.reason)")
    }
  }

  func poolName(_ node: Node) throws(SettingError) -> String {
    let name = node.scalar?.string ?? ""
    guard Settings.Pool.isName(name)
    else {
      throw error(at: node, "'\(name)' is not a pool's name: 1 to 64 of A-Z a-z 0-9 . _ -")
    }
    return name
  }

  func scalar(_ node: Node, of name: String) throws(SettingError) -> String {
    guard let scalar = node.scalar else {
      throw error(at: node, "\(name): expected one value, not a list or a group of keys")
    }
    // Plain, these words are no text but YAML's null (yaml.org, 1.2, 10.3.2), which is no value:
    // as if nothing stood there, which every setting refuses.
    let isNull = scalar.style == .plain && ["~", "null", "Null", "NULL"].contains(scalar.string)
    return isNull ? "" : scalar.string
  }

  /// Reads a value, and says of which key it is if it is none.
  func naming(
    _ name: String, _ node: Node, _ read: () throws(Setting.InvalidValue) -> Void
  ) throws(SettingError) {
    do {
      try read()
    } catch {
      throw self.error(at: node, "\(name): \(error.reason)")
    }
  }

  /// A key that is none of those that are `known`, and what they are.
  func unknown(_ key: Node, _ words: String, _ known: [String]) -> SettingError {
    let name = key.scalar?.string ?? ""
    let hint = Spelling.hint(for: name, among: known)
    return error(
      at: key, "unknown key '\(name)'\(hint); \(words) \(known.joined(separator: ", "))")
  }

  func error(at node: Node, _ reason: String) -> SettingError {
    SettingError(source: place(of: node), reason: reason)
  }

  /// File and line.
  func place(of node: Node) -> String {
    path + (node.mark.map { ":\($0.line)" } ?? "")
  }
}
