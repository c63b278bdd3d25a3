import { PageHead } from '../../ui/page'

export default function ImagesPage() {
  return <PageHead title="Images" />
}
