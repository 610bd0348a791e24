/// What an array of `c` has in CPython.
extension Shared.Array where Element == UInt8 {
  /// The bytes before the first 0, or all of them. What is given must not be longer than the array;
  /// if it is shorter, a 0 follows it, and the rest stays as it is.
  public var value: [UInt8] {
    get { [UInt8](raw.prefix { $0 != 0 }) }
    set {
      write(newValue, isTerminated: newValue.count < count)
    }
  }

  /// All bytes. What is given must not be longer than the array; if it is shorter, the rest stays
  /// as it is.
  public var raw: [UInt8] {
    get { elements }
    set { write(newValue, isTerminated: false) }
  }

  private func write(_ bytes: [UInt8], isTerminated: Bool) {
    precondition(bytes.count <= count, "\(bytes.count) bytes do not fit an array of \(count)")
    storage.access {
      _ = storage.elements.update(fromContentsOf: bytes)
      if isTerminated { storage.elements[bytes.count] = 0 }
    }
  }
}
