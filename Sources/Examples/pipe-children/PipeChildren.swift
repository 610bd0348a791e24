import Multiprocessing

/// One child sends to another. Whoever receives learns by the end of the file that nobody can send
/// any more: every other copy of the sending end is closed.
@main
enum PipeChildren {
  static let send = TaskDefinition<Connection, NoResult>("send") { writer in
    for word in ["hello", "from", "the", "other", "child"] { try writer.send(word) }
    writer.close()
    return NoResult()
  }

  static let receive = TaskDefinition<Connection, NoResult>("receive") { reader in
    do throws(ConnectionError) {
      while true { print("received: \(try reader.receive(String.self))") }
    } catch {
      guard error.code == .endOfFile else { throw error }
      print("nobody sends any more")
    }
    return NoResult()
  }

  static func main() throws {
    bootstrap([send, receive])
    let (reader, writer) = try Pipe(duplex: false)
    let receiver = Process(receive, reader)
    let sender = Process(send, writer)
    try receiver.start()
    try sender.start()
    // The children have copies of their own.
    reader.close()
    writer.close()
    for process in [sender, receiver] { try process.join() }
  }
}
