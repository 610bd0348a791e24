// The codes of errors for `catch`, each of the name that it has in `Code`. See `ErrorKind`.

extension LockError {
  /// ``Code/wouldDeadlock``
  public static let wouldDeadlock = ErrorKind<LockError> { $0.code == .wouldDeadlock }
  /// ``Code/lockOwnerDied``
  public static let lockOwnerDied = ErrorKind<LockError> { $0.code == .lockOwnerDied }
  /// ``Code/notOwner``
  public static let notOwner = ErrorKind<LockError> { $0.code == .notOwner }
  /// ``Code/notLocked``
  public static let notLocked = ErrorKind<LockError> { $0.code == .notLocked }
  /// ``Code/tooDeep``
  public static let tooDeep = ErrorKind<LockError> { $0.code == .tooDeep }
  /// ``Code/system``
  public static let system = ErrorKind<LockError> {
    if case .system = $0.code { true } else { false }
  }
}

extension SharedError {
  /// ``Code/badTypeCode``
  public static let badTypeCode = ErrorKind<SharedError> {
    if case .badTypeCode = $0.code { true } else { false }
  }
  /// ``Code/wrongType``
  public static let wrongType = ErrorKind<SharedError> {
    if case .wrongType = $0.code { true } else { false }
  }
  /// ``Code/negativeCount``
  public static let negativeCount = ErrorKind<SharedError> {
    if case .negativeCount = $0.code { true } else { false }
  }
  /// ``Code/noMemory``
  public static let noMemory = ErrorKind<SharedError> { $0.code == .noMemory }
  /// ``Code/wrongLength``
  public static let wrongLength = ErrorKind<SharedError> {
    if case .wrongLength = $0.code { true } else { false }
  }
  /// ``Code/noLock``
  public static let noLock = ErrorKind<SharedError> { $0.code == .noLock }
  /// ``Code/system``
  public static let system = ErrorKind<SharedError> {
    if case .system = $0.code { true } else { false }
  }
}
