/// How errors of one type travel whole from a worker to the caller.
struct ErrorCoder: Sendable {
  /// The type's name, module included.
  let type: String
  /// The error as JSON; nil if it is of another type, or cannot be encoded.
  let encode: @Sendable (any Error) -> [UInt8]?
  /// The error that `encode` wrote; nil if it cannot be decoded.
  let decode: @Sendable (String) -> (any Error)?

  /// The coder of a type that only its metatype names.
  static func of(_ type: any (Error & Codable & Sendable).Type) -> ErrorCoder {
    ErrorCoder(type)
  }

  private init<Failure: Error & Codable & Sendable>(_ type: Failure.Type) {
    self.type = String(reflecting: type)
    encode = { error in
      guard let failure = error as? Failure else { return nil }
      return try? FoundationCodec.encode(failure)
    }
    decode = { text in
      var text = text
      return text.withUTF8 { try? FoundationCodec.decode(type, from: $0) }
    }
  }
}
