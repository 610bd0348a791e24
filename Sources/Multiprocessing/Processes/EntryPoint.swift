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

  /// An entry with a payload of its own making.
  public init(code: UInt32, payload: [UInt8] = []) {
    self.code = code
    self.payload = payload
  }
}
