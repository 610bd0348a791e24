import Glibc

/// A shared value or array could not be made, or not be used like that.
public struct SharedError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Equatable, Sendable {
    /// There is no such type code.
    case badTypeCode(Character)
    /// The code is of another Swift type than the value: that is named.
    case wrongType(Character, String)
    /// The size is below 0.
    case negativeCount(Int)
    /// There is not that much memory.
    case noMemory
    /// A range was to be replaced by more or fewer elements than it has.
    case wrongLength(Int, expected: Int)
    /// It was made without a lock.
    case noLock
    /// The system refused, with this error number.
    case system(Int32)
  }

  /// What went wrong.
  public let code: Code

  /// An error with this code.
  public init(_ code: Code) {
    self.code = code
  }

  /// What a system call's failure means here.
  init(_ error: SystemCallError) {
    self.init(error.number == ENOMEM ? .noMemory : .system(error.number))
  }

  /// What happened, and what would be right.
  public var description: String {
    switch code {
    case .badTypeCode(let code):
      "bad typecode \"\(code)\": must be one of c, u, b, B, h, H, i, I, l, L, q, Q, f or d"
    case .wrongType(let code, let type):
      "typecode \"\(code)\" is \(type) in Swift, and the values given are of another type"
    case .negativeCount(let count): "an array's size must be at least 0, not \(count)"
    case .noMemory: "there is not that much memory to share"
    case .wrongLength(let count, let expected):
      "\(expected) elements can only be replaced by as many, not by \(count)"
    case .noLock: "it was made without a lock"
    case .system(let number): "no shared memory: \(String(cString: strerror(number)))"
    }
  }
}
