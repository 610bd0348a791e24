import Glibc

/// A value that is bound to a descriptor could not be handed to another process.
public struct TransferError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public enum Code: Equatable, Sendable {
    /// It was encoded, or decoded, by anything but the start of a process or a connection.
    case notInTransfer
    /// It can be handed on only when a process is started.
    case onlyAtStart
    /// One value carries more descriptors than can travel together: 24.
    case tooMany
    /// The descriptor did not come.
    case missing
    /// The system refused, with this error number.
    case system(Int32)
  }

  /// What went wrong.
  public let code: Code
  /// The type of the value.
  public let type: String

  init(_ code: Code, type: String) {
    self.code = code
    self.type = type
  }

  /// What happened, and what to do.
  public var description: String {
    switch code {
    case .notInTransfer, .onlyAtStart:
      """
      a \(type) can only be shared through inheritance: hand it to the process as (part of) its \
      argument when it is created, or to a pool's workers as that of their initializer
      """
    case .tooMany:
      """
      one argument carries at most \(DescriptorTransfer.descriptorsMax) descriptors, and here \
      would be one more: each lock, shared value, shared array, queue and connection takes one or \
      more. One Shared.Array takes as many as one Shared.Value, whatever its count
      """
    case .missing: "a \(type) came without its descriptor"
    case .system(let number):
      "a \(type) could not be handed on: \(String(cString: strerror(number)))"
    }
  }
}
