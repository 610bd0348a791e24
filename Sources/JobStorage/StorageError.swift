internal import Glibc

/// What the environment did to the data folder: a system call that failed, or a file that does not
/// hold what it must. Programmer errors stop the program instead.
public struct StorageError: Error, Equatable, Sendable {
  /// The kind of failure; a closed set inside, open to grow for its readers.
  public struct Code: Hashable, Sendable, CustomStringConvertible {
    private enum Kind: String {
      case inUse, absent, callFailed, appendFailed, syncFailed, damaged, gap, unknownVersion
    }

    private let kind: Kind

    /// Another process holds the folder's lock.
    public static let inUse = Code(kind: .inUse)
    /// There is no data folder: none at all, or one without a journal and a snapshot.
    public static let absent = Code(kind: .absent)
    /// A system call on the folder failed; nothing was promised that is lost.
    public static let callFailed = Code(kind: .callFailed)
    /// Records did not reach the journal. They wait in memory; a later append or `retryPending`
    /// writes them first.
    public static let appendFailed = Code(kind: .appendFailed)
    /// A sync failed. The page cache can no longer be trusted, so the server must stop: what
    /// fdatasync(2) lost once, a second call reports as safe.
    public static let syncFailed = Code(kind: .syncFailed)
    /// A file holds what was never written there.
    public static let damaged = Code(kind: .damaged)
    /// Records are missing between two that are there, or between a snapshot and the journal.
    public static let gap = Code(kind: .gap)
    /// A file was written in a version of the format that this program does not know.
    public static let unknownVersion = Code(kind: .unknownVersion)

    /// The name of the code.
    public var description: String { kind.rawValue }
  }

  /// What kind of failure it is.
  public let code: Code
  /// The file or folder.
  public let path: String
  /// The line of the file, from 1, where the failure is in one.
  public let line: Int?
  /// The errno of the system call that failed.
  public let errno: Int32?
  /// What happened, as the end of a sentence that names the path.
  public let reason: String

  /// Makes an error about a file's content, or about the folder as a whole.
  public init(_ code: Code, path: String, line: Int? = nil, reason: String) {
    self.code = code
    self.path = path
    self.line = line
    self.errno = nil
    self.reason = reason
  }

  /// Makes an error of a system call; `action` is what was tried, as in "cannot `action` PATH".
  public init(_ code: Code = .callFailed, cannot action: String, path: String, errno: Int32) {
    self.code = code
    self.path = path
    self.line = nil
    self.errno = errno
    self.reason = "cannot \(action): \(String(cString: strerror(errno))) (errno \(errno))"
  }

  /// The same failure under another code.
  func recoded(_ code: Code) -> StorageError {
    StorageError(code, path, line, errno, reason)
  }

  private init(_ code: Code, _ path: String, _ line: Int?, _ errno: Int32?, _ reason: String) {
    self.code = code
    self.path = path
    self.line = line
    self.errno = errno
    self.reason = reason
  }
}

extension StorageError: CustomStringConvertible {
  /// A sentence for the operator: `PATH: reason`, or `PATH, line 7: reason`.
  public var description: String {
    if let line { return "\(path), line \(line): \(reason)" }
    return "\(path): \(reason)"
  }
}
