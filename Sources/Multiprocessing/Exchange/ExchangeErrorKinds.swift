// The codes of errors for `catch`, each of the name that it has in `Code`. See `ErrorKind`.

extension ConnectionError {
  /// ``Code/endOfFile``
  public static let endOfFile = ErrorKind<ConnectionError> { $0.code == .endOfFile }
  /// ``Code/brokenPipe``
  public static let brokenPipe = ErrorKind<ConnectionError> { $0.code == .brokenPipe }
  /// ``Code/closed``
  public static let closed = ErrorKind<ConnectionError> { $0.code == .closed }
  /// ``Code/readOnly``
  public static let readOnly = ErrorKind<ConnectionError> { $0.code == .readOnly }
  /// ``Code/writeOnly``
  public static let writeOnly = ErrorKind<ConnectionError> { $0.code == .writeOnly }
  /// ``Code/bufferTooShort``
  public static let bufferTooShort = ErrorKind<ConnectionError> {
    if case .bufferTooShort = $0.code { true } else { false }
  }
  /// ``Code/messageTooLong``
  public static let messageTooLong = ErrorKind<ConnectionError> {
    if case .messageTooLong = $0.code { true } else { false }
  }
  /// ``Code/invalidArgument``
  public static let invalidArgument = ErrorKind<ConnectionError> { $0.code == .invalidArgument }
  /// ``Code/wrongKind``
  public static let wrongKind = ErrorKind<ConnectionError> { $0.code == .wrongKind }
  /// ``Code/noDescriptor``
  public static let noDescriptor = ErrorKind<ConnectionError> { $0.code == .noDescriptor }
  /// ``Code/encoding``
  public static let encoding = ErrorKind<ConnectionError> { $0.code == .encoding }
  /// ``Code/decoding``
  public static let decoding = ErrorKind<ConnectionError> { $0.code == .decoding }
  /// ``Code/system``
  public static let system = ErrorKind<ConnectionError> {
    if case .system = $0.code { true } else { false }
  }
}

extension QueueError {
  /// ``Code/full``
  public static let full = ErrorKind<QueueError> { $0.code == .full }
  /// ``Code/empty``
  public static let empty = ErrorKind<QueueError> { $0.code == .empty }
  /// ``Code/closed``
  public static let closed = ErrorKind<QueueError> { $0.code == .closed }
  /// ``Code/encoding``
  public static let encoding = ErrorKind<QueueError> { $0.code == .encoding }
  /// ``Code/decoding``
  public static let decoding = ErrorKind<QueueError> { $0.code == .decoding }
  /// ``Code/system``
  public static let system = ErrorKind<QueueError> {
    if case .system = $0.code { true } else { false }
  }
}

extension TransferError {
  /// ``Code/notInTransfer``
  public static let notInTransfer = ErrorKind<TransferError> { $0.code == .notInTransfer }
  /// ``Code/onlyAtStart``
  public static let onlyAtStart = ErrorKind<TransferError> { $0.code == .onlyAtStart }
  /// ``Code/tooMany``
  public static let tooMany = ErrorKind<TransferError> { $0.code == .tooMany }
  /// ``Code/missing``
  public static let missing = ErrorKind<TransferError> { $0.code == .missing }
  /// ``Code/system``
  public static let system = ErrorKind<TransferError> {
    if case .system = $0.code { true } else { false }
  }
}
