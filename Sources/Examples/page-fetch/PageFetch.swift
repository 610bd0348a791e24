import Multiprocessing

/// Pages fetched and taken apart, one after the other and by the processes of a pool. They come
/// from a server on this machine, which runs in processes of its own.
@main
enum PageFetch {
  struct Address: Codable, Sendable {
    var port: UInt16
    var path: String
  }

  struct Page: Codable, Sendable, Equatable {
    var title: String
    var words: Int
    var links: [String]
  }

  static let fetch = TaskDefinition<Address, Page>("fetch") { address in
    let (head, html) = try get(address.path, port: address.port)
    guard head.hasPrefix("HTTP/1.0 200") else { throw FetchError("\(address.path): \(head)") }
    let text = html.replacing(/<[^>]*>/, with: " ")
    return Page(
      title: html.firstMatch(of: /<title>(.*?)<\/title>/).map { String($0.1) } ?? "",
      words: text.split { $0.isWhitespace }.count,
      links: html.matches(of: /<a href="(.*?)">/).map { String($0.1) })
  }

  static func main() throws {
    bootstrap([fetch])
    let server = try PageServer()
    for _ in 0..<4 {
      // Forked, so that it has the socket; a daemon, so that it ends with main.
      try Process(daemon: true) { server.serve() }.start()
    }
    let addresses = (0..<PageServer.pages).map { Address(port: server.port, path: "/\($0)") }
    let clock = ContinuousClock()

    var first: [Page] = []
    let serial = try clock.measure { first = try addresses.map(fetch.body) }
    for (address, page) in zip(addresses, first) {
      let links = page.links.joined(separator: " ")
      print("\(address.path): \(page.title): \(page.words) words, links to \(links)")
    }
    print("\(first.count) pages sequentially: \(serial)")

    let pool = try Pool(processes: 4)
    var second: [Page] = []
    let parallel = try clock.measure { second = try pool.map(fetch, addresses, chunkSize: 1) }
    print("\(second.count) pages with 4 processes: \(parallel)")
    print("the same results: \(first == second)")
    print("speed-up: \((serial / parallel * 100).rounded() / 100)")
    pool.close()
    try pool.join()
  }
}
