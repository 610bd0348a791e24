/// Something to wait for with ``wait(for:timeout:)``: a connection, the sentinel of a process (an
/// `Int32`), or anything else that has a descriptor which becomes readable.
public protocol Waitable {
  /// The descriptor; negative if it is closed. It must stay open during the wait.
  var waitDescriptor: Int32 { get }
}

extension Connection: Waitable {
  /// The socket; -1 once the connection is closed.
  public var waitDescriptor: Int32 { fileDescriptor }
}

/// A sentinel, or any other descriptor by its number.
extension Int32: Waitable {
  /// The number itself.
  public var waitDescriptor: Int32 { self }
}
