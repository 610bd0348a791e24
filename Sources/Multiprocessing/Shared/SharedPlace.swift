internal import CPlatform

/// How shared memory is encoded: as the place of its descriptor in the transfer under way.
struct SharedPlace: Codable {
  private let descriptor: Int

  /// Adds `memory` to the transfer under way, for a value of `owner`, a type's name.
  init(of memory: SharedMemory, for owner: String) throws(TransferError) {
    descriptor = try memory.add(for: owner)
  }

  /// Maps what came for a value of `owner`.
  func memory(for owner: String) throws(TransferError) -> SharedMemory {
    try SharedMemory(at: descriptor, for: owner)
  }

  /// Maps what came for a lock of this kind, called `owner`.
  func memory(
    of kind: lido_lock_kind, for owner: String, _ decoder: any Decoder
  ) throws -> SharedMemory {
    let memory = try memory(for: owner)
    guard memory.lockKind == kind else {
      let text = "what came is no \(owner): it holds \(memory.lockKind.name)"
      throw DecodingError.dataCorrupted(
        .init(codingPath: decoder.codingPath, debugDescription: text))
    }
    return memory
  }
}

extension lido_lock_kind {
  /// In words, for an error.
  fileprivate var name: String {
    switch self {
    case LIDO_LOCK_PLAIN: "a Lock"
    case LIDO_LOCK_RECURSIVE: "an RLock"
    default: "no lock"
    }
  }
}
