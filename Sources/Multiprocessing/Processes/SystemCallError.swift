import Glibc

/// A system call that failed: which, and why.
public struct SystemCallError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The call, and on what, where that helps: `"socketpair"`.
  public let call: String
  /// The `errno` it left.
  public let number: Int32

  /// An error with the `errno` given, which must be read before anything else can change it.
  public init(_ call: String, number: Int32) {
    self.call = call
    self.number = number
  }

  /// `"socketpair: Too many open files"`.
  public var description: String {
    "\(call): \(String(cString: strerror(number)))"
  }
}
