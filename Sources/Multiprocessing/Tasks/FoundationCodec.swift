import FoundationEssentials

/// The one door to Foundation: JSON of the `Codable` types that have no shorter way. Only a worker
/// calls it; the server and the fork server link it and never touch it.
enum FoundationCodec {
  /// Decodes one JSON text. `keepsNonFinite` as in `encode`.
  static func decode<Value: Decodable>(
    _ type: Value.Type, from json: UnsafeBufferPointer<UInt8>, keepsNonFinite: Bool = false
  ) throws(TaskFailure) -> Value {
    do {
      let decoder = JSONDecoder()
      if keepsNonFinite {
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
          positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      }
      return try decoder.decode(type, from: Data(json))
    } catch let error as DecodingError {
      throw failure(error)
    } catch {
      throw TaskFailure.argument("\(error)")
    }
  }

  /// Encodes a value as JSON. With `keepsNonFinite` the floating-point values that JSON has no
  /// number for are texts, which only a decoder that is told so takes for numbers.
  static func encode<Value: Encodable>(
    _ value: Value, keepsNonFinite: Bool = false
  ) throws(TaskFailure) -> [UInt8] {
    do {
      let encoder = JSONEncoder()
      if keepsNonFinite {
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
          positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      }
      return Array(try encoder.encode(value))
    } catch let error as EncodingError {
      guard case .invalidValue(_, let context) = error else {
        throw TaskFailure(.resultEncoding, type: "EncodingError", message: "\(error)")
      }
      let place = path(context.codingPath)
      let message = (place.isEmpty ? "" : "\(place): ") + context.debugDescription
      throw TaskFailure(.resultEncoding, type: "EncodingError", message: message)
    } catch {
      throw TaskFailure(.resultEncoding, type: "\(type(of: error))", message: "\(error)")
    }
  }

  private static func failure(_ error: DecodingError) -> TaskFailure {
    switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context),
      .dataCorrupted(let context):
      TaskFailure.argument(context.debugDescription, at: path(context.codingPath))
    case .keyNotFound(let key, let context):
      TaskFailure.argument("missing", at: path(context.codingPath + [key]))
    @unknown default:
      TaskFailure.argument("\(error)")
    }
  }

  /// `.items[2].x`
  private static func path(_ keys: [any CodingKey]) -> String {
    keys.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
  }
}
