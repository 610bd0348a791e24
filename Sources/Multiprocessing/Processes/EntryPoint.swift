internal import CPlatform
import Glibc

/// What a process forked by the fork server, or executed as a spawned worker, is to do.
public struct EntryPoint: Sendable {
  /// The code of a pool's worker. Codes up to 15 are the library's, all others the program's own.
  public static let worker: UInt32 = 1
  /// The code of `FolderSweeper`, which a `ProgramPool` needs.
  public static let sweeper: UInt32 = 3
  /// The code of a `Process` that runs a task.
  static let process: UInt32 = 4

  /// Which role.
  public let code: UInt32
  /// What the one who asked for the process gave it.
  public let payload: [UInt8]
  /// The numbers that the descriptors of a forked process have, by those that were asked for.
  let numbers: [Int32: Int32]

  /// An entry with a payload of its own making.
  public init(code: UInt32, payload: [UInt8] = []) {
    self.code = code
    self.payload = payload
    numbers = [:]
  }

  /// The number of the descriptor that was to have the number `target`, which it has in a process
  /// that was executed.
  func number(_ target: Int32) -> Int32 { numbers[target] ?? target }
}

extension EntryPoint {
  /// Takes over what the C loop has allocated.
  init(taking entry: lido_entry) {
    let bytes = UnsafeBufferPointer(start: entry.payload, count: Int(entry.payload_length))
    code = entry.code
    payload = Array(bytes)
    free(entry.payload)
    let targets = withUnsafeBytes(of: entry.targets) { Array($0.bindMemory(to: Int32.self)) }
    let numbers = withUnsafeBytes(of: entry.numbers) { Array($0.bindMemory(to: Int32.self)) }
    let pairs = zip(targets, numbers).prefix(Int(entry.descriptor_count))
    self.numbers = Dictionary(uniqueKeysWithValues: Array(pairs))
  }
}
